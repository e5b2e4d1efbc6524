/**
 * Reads tar archives: ustar, pax, GNU's long names and sparse format 1.0, and the oldest format; see pax(1) and "Tar
 * Internals" in the manual of GNU tar. Names stay bytes and times keep nanoseconds. Every length is limited, because the
 * archive may be hostile. check.ts decides what an entry may be.
 */
import { CopyError } from '../errors.ts';
import { type ByteString, shown } from './bytes.ts';
import { attributesOf, type PaxRecords, parsePax, paxSize, paxTime, SPARSE } from './pax.ts';
import { parseSparseMap } from './sparse-map.ts';
import { BLOCK, type TarEntry, type TarKind, type TarSink } from './tar-entry.ts';
import { type Fail, type Header, isZeroBlock, padded, parseHeader } from './tar-header.ts';

const MAX_BODY = 1 << 20;
const MAX_TRAILER = 1 << 20;

const KINDS: ReadonlyMap<string, TarKind> = new Map([
  ['\0', 'file'],
  ['0', 'file'],
  ['1', 'hard link'],
  ['2', 'symbolic link'],
  ['3', 'character device'],
  ['4', 'block device'],
  ['5', 'directory'],
  ['6', 'fifo'],
  ['7', 'file'],
]);

type State =
  | { readonly in: 'header' | 'data' | 'end' }
  | { readonly in: 'body'; readonly header: Header }
  | { readonly in: 'map'; readonly header: Header; readonly sparseSize: number };

export class TarReader {
  readonly #sink: TarSink;
  #rest: Buffer = Buffer.alloc(0);
  #state: State = { in: 'header' };
  #dataLeft = 0;
  #paddingLeft = 0;
  #zeroBlocks = 0;
  #trailer = 0;
  #pax: PaxRecords | undefined;
  #longName: ByteString | undefined;
  #longLink: ByteString | undefined;
  #lastPath: ByteString = '';

  constructor(sink: TarSink) {
    this.#sink = sink;
  }

  get ended(): boolean {
    return this.#state.in === 'end';
  }

  /** @throws CopyError when this is no archive */
  push(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length > 0) {
      const used = this.#step(bytes);
      if (used === 0) break;
      bytes = bytes.subarray(used);
    }
    this.#rest = bytes;
  }

  /** @throws CopyError when the archive is truncated */
  finish(): void {
    if (!this.ended) this.#fail('is truncated');
  }

  /**
   * For an archive whose completeness is known otherwise: umoci writes layers without an end, and without what fills the last
   * block of the last file. @throws CopyError when an entry is truncated
   */
  finishWithoutEnd(): void {
    if (this.ended) return;
    const isBetween =
      this.#rest.length === 0 &&
      this.#dataLeft === 0 &&
      ['header', 'data'].includes(this.#state.in) &&
      !this.#isExtended();
    if (!isBetween) this.#fail('is truncated');
  }

  #isExtended(): boolean {
    return this.#pax !== undefined || this.#longName !== undefined || this.#longLink !== undefined;
  }

  /** Uses some of the bytes and gives how many; 0 when it needs more. */
  #step(bytes: Buffer): number {
    const state = this.#state;
    switch (state.in) {
      case 'header':
        if (bytes.length < BLOCK) return 0;
        this.#headerBlock(bytes.subarray(0, BLOCK));
        return BLOCK;
      case 'body': {
        const { size } = state.header;
        if (bytes.length < padded(size)) return 0;
        this.#state = { in: 'header' };
        this.#body(state.header, bytes.subarray(0, size));
        return padded(size);
      }
      case 'map':
        return this.#map(state.header, state.sparseSize, bytes);
      case 'data':
        return this.#someData(bytes);
      case 'end':
        this.#trailer += bytes.length;
        if (this.#trailer > MAX_TRAILER) this.#fail('has data after its end');
        return bytes.length;
    }
  }

  #someData(bytes: Buffer): number {
    const data = Math.min(this.#dataLeft, bytes.length);
    if (data > 0) this.#sink.data(bytes.subarray(0, data));
    this.#dataLeft -= data;
    const padding = this.#dataLeft > 0 ? 0 : Math.min(this.#paddingLeft, bytes.length - data);
    this.#paddingLeft -= padding;
    if (this.#dataLeft + this.#paddingLeft === 0) this.#state = { in: 'header' };
    return data + padding;
  }

  #headerBlock(block: Buffer): void {
    if (isZeroBlock(block)) {
      this.#zeroBlocks += 1;
      if (this.#zeroBlocks < 2) return;
      if (this.#isExtended())
        this.#fail('ends after an extended header, without the entry that this describes');
      this.#state = { in: 'end' };
      return;
    }
    if (this.#zeroBlocks > 0) this.#fail('has data after its end');
    const header = parseHeader(block, this.#fail);
    if (!'xgLK'.includes(header.type)) {
      this.#member(header);
      return;
    }
    if (header.size > MAX_BODY) this.#fail(`has a header of ${header.size} bytes (type ${header.type})`);
    if (header.size === 0) this.#fail(`has an empty header (type ${header.type})`);
    this.#state = { in: 'body', header };
  }

  #body(header: Header, body: Buffer): void {
    switch (header.type) {
      case 'x':
        if (this.#pax !== undefined) this.#fail('has two extended headers for one entry');
        this.#pax = parsePax(body, this.#fail);
        return;
      case 'L':
        if (this.#longName !== undefined) this.#fail('has two long names for one entry');
        this.#longName = untilZero(body);
        return;
      case 'K':
        if (this.#longLink !== undefined) this.#fail('has two long links for one entry');
        this.#longLink = untilZero(body);
        return;
      default:
        // Global records, which no tar writes by default. A comment (git archive) changes nothing.
        for (const key of parsePax(body, this.#fail).keys()) {
          if (key !== 'comment')
            this.#fail(`has a global extended header, which is not supported: ${shown(key)}`);
        }
    }
  }

  #member(plain: Header): void {
    const pax = this.#pax;
    this.#lastPath = pax?.get(SPARSE.name) ?? pax?.get('path') ?? this.#longName ?? plain.path;
    const header: Header = {
      ...plain,
      path: this.#lastPath,
      link: pax?.get('linkpath') ?? this.#longLink ?? plain.link,
      uid: paxSize(pax, 'uid', this.#fail) ?? plain.uid,
      gid: paxSize(pax, 'gid', this.#fail) ?? plain.gid,
      size: paxSize(pax, 'size', this.#fail) ?? plain.size,
      mtime: paxTime(pax, 'mtime', this.#fail) ?? plain.mtime,
    };
    if (header.path.includes('\0') || header.link.includes('\0')) this.#fail('has a name with a zero byte');
    const sparseSize = paxSize(pax, SPARSE.realSize, this.#fail);
    if (sparseSize === undefined) {
      this.#announce(header, header.size);
      return;
    }
    if (pax?.get(SPARSE.major) !== '1' || pax.get(SPARSE.minor) !== '0') {
      this.#fail('has a sparse file in another format than 1.0');
    }
    if (KINDS.get(header.type) !== 'file' || header.path.endsWith('/'))
      this.#fail('marks an entry as sparse that is not a file');
    this.#state = { in: 'map', header, sparseSize };
  }

  #map(header: Header, size: number, bytes: Buffer): number {
    const limit = Math.min(MAX_BODY, header.size);
    const map = parseSparseMap(bytes.subarray(0, limit), size, this.#fail);
    if (map === undefined) {
      if (bytes.length >= limit) this.#fail('has a sparse map without an end');
      return 0;
    }
    const mapSize = padded(map.length);
    const data = map.segments.reduce((sum, segment) => sum + segment.size, 0);
    if (mapSize + data !== header.size) this.#fail('has a sparse map that does not fit its data');
    if (bytes.length < mapSize) return 0;
    this.#announce(header, data, { size, segments: map.segments });
    return mapSize;
  }

  #announce(header: Header, size: number, sparse?: TarEntry['sparse']): void {
    const attributes = attributesOf(this.#pax);
    this.#pax = undefined;
    this.#longName = undefined;
    this.#longLink = undefined;
    const kind = KINDS.get(header.type) ?? 'unknown';
    this.#dataLeft = size;
    this.#paddingLeft = padded(size) - size;
    this.#state = { in: size === 0 ? 'header' : 'data' };
    this.#sink.entry({
      kind: kind === 'file' && header.path.endsWith('/') ? 'directory' : kind,
      path: header.path,
      mode: header.mode,
      uid: header.uid,
      gid: header.gid,
      mtime: header.mtime,
      size,
      link: kind === 'hard link' || kind === 'symbolic link' ? header.link : '',
      attributes,
      ...(sparse === undefined ? {} : { sparse }),
      ...(kind === 'character device' || kind === 'block device' ? { device: header.device } : {}),
    });
  }

  readonly #fail: Fail = (what) => {
    const where = this.#lastPath === '' ? 'at its beginning' : `at or after ${shown(this.#lastPath)}`;
    throw new CopyError(`the archive ${what}, ${where}`, { code: 'BROKEN_ARCHIVE' });
  };
}

function untilZero(body: Buffer): ByteString {
  const end = body.indexOf(0);
  return body.toString('latin1', 0, end === -1 ? body.length : end);
}
