/**
 * Writes tar archives. The tar that unpacks reads only this output, so it cannot interpret an archive in another way than
 * the checks. `pax` is for GNU tar (exact times, attributes, sparse files), `gnu` for smaller ones such as busybox (long
 * names, whole seconds).
 */
import { CopyError } from '../errors.ts';
import { type ByteString, shown } from './bytes.ts';
import { SPARSE } from './pax.ts';
import { formatSparseMap } from './sparse-map.ts';
import { BLOCK, type TarEntry, type TarKind, type TarSink } from './tar-entry.ts';
import { padded } from './tar-header.ts';

export type Dialect = 'pax' | 'gnu';

const TYPES: Readonly<Record<TarKind, string>> = {
  file: '0',
  'hard link': '1',
  'symbolic link': '2',
  'character device': '3',
  'block device': '4',
  directory: '5',
  fifo: '6',
  unknown: '0',
};
const BATCH = 1 << 16;
const NAME_FIELD = 100;
const ID_FIELD = 8;
const NUMBER_FIELD = 12;
/** What `STARTS` has in the field of an id. */
const ZEROS = 7 * 0x30;
const NO_DEVICE = [0, 0] as const;

type HeaderFields = Pick<TarEntry, 'path' | 'link' | 'mode' | 'uid' | 'gid' | 'mtime' | 'device'>;

const PLAIN: HeaderFields = { path: '', link: '', mode: 0o644, uid: 0, gid: 0, mtime: '0' };

export class TarWriter implements TarSink {
  readonly #write: (bytes: Buffer) => void;
  readonly #dialect: Dialect;
  #batch = Buffer.allocUnsafe(BATCH);
  #used = 0;
  #dataLeft = 0;
  #paddingLeft = 0;

  /** @param write may keep each buffer; it is not changed later */
  constructor(dialect: Dialect, write: (bytes: Buffer) => void) {
    this.#dialect = dialect;
    this.#write = write;
  }

  entry(entry: TarEntry): void {
    const map = entry.sparse === undefined ? undefined : formatSparseMap(entry.sparse.segments);
    const mapSize = map === undefined ? 0 : padded(map.length);
    if (this.#dialect === 'pax') this.#extended(entry, mapSize);
    else this.#longNames(entry);
    this.#header(TYPES[entry.kind], entry, entry.size + mapSize);
    if (map !== undefined) this.#body(map);
    this.#dataLeft = entry.size;
    this.#paddingLeft = padded(entry.size) - entry.size;
  }

  data(bytes: Buffer): void {
    if (bytes.length >= BATCH / 4) {
      this.flush();
      this.#write(bytes);
    } else {
      bytes.copy(this.#room(bytes.length));
    }
    this.#dataLeft -= bytes.length;
    if (this.#dataLeft === 0) this.#room(this.#paddingLeft).fill(0);
  }

  end(): void {
    this.#room(2 * BLOCK).fill(0);
    this.flush();
  }

  flush(): void {
    if (this.#used === 0) return;
    this.#write(this.#batch.subarray(0, this.#used));
    this.#batch = Buffer.allocUnsafe(BATCH);
    this.#used = 0;
  }

  #room(size: number): Buffer {
    if (size > this.#batch.length - this.#used) {
      this.flush();
      if (size > BATCH) {
        this.#batch = Buffer.allocUnsafe(size);
      }
    }
    const room = this.#batch.subarray(this.#used, this.#used + size);
    this.#used += size;
    return room;
  }

  #extended(entry: TarEntry, mapSize: number): void {
    let records = '';
    if (entry.path.length > NAME_FIELD) records += paxRecord('path', entry.path);
    if (entry.link.length > NAME_FIELD) records += paxRecord('linkpath', entry.link);
    if (!/^\d{1,10}$/.test(entry.mtime)) records += paxRecord('mtime', entry.mtime);
    for (const [key, value] of entry.attributes) records += paxRecord(key, value);
    if (entry.sparse !== undefined) {
      records += paxRecord(SPARSE.major, '1') + paxRecord(SPARSE.minor, '0');
      records += paxRecord(SPARSE.name, entry.path) + paxRecord(SPARSE.realSize, String(entry.sparse.size));
    }
    const size = entry.size + mapSize;
    if (size > 0o77777777777) records += paxRecord('size', String(size));
    if (records === '') return;
    this.#header('x', { ...PLAIN, path: 'PaxHeaders/x' }, records.length);
    this.#body(records);
  }

  #longNames(entry: TarEntry): void {
    if (entry.sparse !== undefined || entry.attributes.size > 0) {
      const what = entry.sparse === undefined ? 'has extended attributes' : 'is sparse';
      throw new CopyError(`${shown(entry.path)} ${what}, which only GNU tar can unpack`, {
        code: 'NEEDS_GNU_TAR',
        remedy: 'install tar in the testbed',
      });
    }
    for (const [type, name] of [
      ['K', entry.link],
      ['L', entry.path],
    ] as const) {
      if (name.length <= NAME_FIELD) continue;
      this.#header(type, { ...PLAIN, path: '././@LongLink' }, name.length + 1);
      this.#body(`${name}\0`);
    }
  }

  #body(text: ByteString): void {
    const room = this.#room(padded(text.length));
    room.write(text, 0, 'latin1');
    room.fill(0, text.length);
  }

  #header(type: string, entry: HeaderFields, size: number): void {
    const block = this.#room(BLOCK);
    const { start, sum } = STARTS[this.#dialect];
    block.set(start);
    const [major, minor] = entry.device ?? NO_DEVICE;
    // To add all 512 bytes of every header takes longer than the rest.
    const total =
      sum +
      (entry.uid === 0 ? 0 : number(block, entry.uid, 108, ID_FIELD) - ZEROS) +
      (entry.gid === 0 ? 0 : number(block, entry.gid, 116, ID_FIELD) - ZEROS) +
      (major === 0 ? 0 : octal(block, major, 329, ID_FIELD)) +
      (minor === 0 ? 0 : octal(block, minor, 337, ID_FIELD)) +
      text(block, entry.path, 0) +
      octal(block, entry.mode, 100, 8) +
      number(block, size, 124, NUMBER_FIELD) +
      number(block, Math.floor(Number(entry.mtime)), 136, NUMBER_FIELD) +
      text(block, type, 156) +
      text(block, entry.link, 157);
    octal(block, total, 148, 7);
  }
}

function startOf(magic: string): { start: Buffer; sum: number } {
  const start = Buffer.alloc(BLOCK);
  start.write('0000000\x000000000\0', 108, 'latin1');
  start.write(' '.repeat(8), 148, 'latin1');
  start.write(magic, 257, 'latin1');
  return { start, sum: start.reduce((total, byte) => total + byte, 0) };
}

const STARTS: Readonly<Record<Dialect, { start: Buffer; sum: number }>> = {
  pax: startOf('ustar\x0000'),
  gnu: startOf('ustar  \0'),
};

function text(block: Buffer, value: ByteString, start: number): number {
  const length = Math.min(value.length, NAME_FIELD);
  let sum = 0;
  for (let i = 0; i < length; i += 1) {
    const byte = value.charCodeAt(i);
    block[start + i] = byte;
    sum += byte;
  }
  return sum;
}

function octal(block: Buffer, value: number, start: number, length: number): number {
  let rest = value;
  let sum = 0;
  for (let i = start + length - 2; i >= start; i -= 1) {
    const digit = 0x30 + (rest % 8);
    block[i] = digit;
    sum += digit;
    rest = Math.floor(rest / 8);
  }
  return sum;
}

function number(block: Buffer, value: number, start: number, length: number): number {
  if (value >= 0 && value < 8 ** (length - 1)) return octal(block, value, start, length);
  let rest = BigInt.asUintN(8 * length - 1, BigInt(value));
  for (let i = start + length - 1; i >= start; i -= 1) {
    block[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  block[start] = (block[start] ?? 0) | 0x80;
  return block.subarray(start, start + length).reduce((sum, byte) => sum + byte, 0);
}

function paxRecord(key: ByteString, value: ByteString): string {
  const text = ` ${key}=${value}\n`;
  let length = text.length + 1;
  while (String(length).length + text.length !== length) length = String(length).length + text.length;
  return `${length}${text}`;
}
