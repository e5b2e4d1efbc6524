/** A file or tree of a hostile testbed as a stream of a checked archive. */
import { PassThrough, Readable } from 'node:stream';
import { shown } from '../archive/bytes.ts';
import type { TarEntry } from '../archive/tar-entry.ts';
import { TarReader } from '../archive/tar-reader.ts';
import { TarWriter } from '../archive/tar-writer.ts';
import { CopyError } from '../errors.ts';
import { roomIn } from '../wait.ts';
import { EntryChecker } from './check.ts';
import { LARGEST_ID } from './check-in.ts';
import { type Ends, mustEnd, withEnds } from './ends.ts';
import { checkSockets, noTar } from './failures.ts';
import { splitPath, withoutSlash } from './host-paths.ts';
import { drain, existing } from './pipes.ts';
import { Progress } from './progress.ts';
import { startInside } from './script.ts';
import { NO_PROGRAM } from './tree-out.ts';
import type { CopyOptions, CopyTestbed } from './types.ts';

/** Resolves when the testbed has begun to send. The stream fails with the CopyError of what is refused later. */
export async function getArchive(
  testbed: CopyTestbed,
  inside: Buffer,
  options: CopyOptions,
): Promise<Readable> {
  return (await beginArchive(testbed, inside, options)).stream;
}

/** `sent` is the copy, which ends though nothing reads the stream: at an abort, when its time is over, or when the rest fits into buffers. */
export async function beginArchive(
  testbed: CopyTestbed,
  inside: Buffer,
  options: CopyOptions,
): Promise<{ readonly stream: Readable; readonly sent: Promise<void> }> {
  const archive = new PassThrough({ highWaterMark: 1 << 16 });
  const unwanted = new AbortController();
  archive.once('close', () => unwanted.abort());
  archive.on('error', () => {});
  const signals = options.signal === undefined ? [unwanted.signal] : [unwanted.signal, options.signal];
  let begin = (): void => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const progress = new Progress(options);
  const sent = withEnds(
    `reading ${shown(inside)} as an archive`,
    { ...options, signal: AbortSignal.any(signals) },
    (ends) => send(testbed, withoutSlash(inside), archive, ends, { ...options, counted: progress }, begin),
  ).finally(() => progress.end());
  sent.then(
    () => archive.end(),
    (error) => archive.destroy(error),
  );
  await Promise.race([begun, sent]);
  // The failure of a stream that nothing reads yet is no uncaught exception.
  const given = Readable.from(archive, { objectMode: false });
  given.once('close', () => archive.destroy());
  return { stream: given, sent };
}

const LONGEST_KIND = 2;

interface CountedOptions extends CopyOptions {
  readonly counted: Progress;
}

async function send(
  testbed: CopyTestbed,
  path: Buffer,
  archive: PassThrough,
  ends: Ends,
  options: CountedOptions,
  begin: () => void,
): Promise<void> {
  const stdio = ['ignore', 'pipe', 'pipe'] as const;
  const packing = await startInside(testbed, ends, 'copy-out-archive', stdio, path);
  const writer = new TarWriter('pax', (bytes) => void archive.write(bytes));
  const checked = new CheckedArchive(path, writer, options);
  const reader = new TarReader(checked);
  let kind: Buffer = Buffer.alloc(0);
  await drain(existing(packing.process.child.stdout), (chunk) => {
    const missing = Math.min(LONGEST_KIND - kind.length, chunk.length);
    if (missing > 0) {
      kind = Buffer.concat([kind, chunk.subarray(0, missing)]);
      if (kind.length < LONGEST_KIND) return undefined;
      checked.begin(kind.toString('latin1'));
      begin();
    }
    reader.push(chunk.subarray(missing));
    return roomIn(archive);
  });
  const { status } = await packing.process.exited;
  if (status === NO_PROGRAM && packing.complaint() === '') throw noTar();
  checkSockets(await mustEnd(packing, 'the tar of the testbed'));
  reader.finish();
  if (checked.empty) throw new CopyError('the archive from the testbed has no entries', BROKEN);
  writer.end();
}

const BROKEN = { code: 'BROKEN_ARCHIVE' };

class CheckedArchive {
  readonly #checker: EntryChecker;
  readonly #writer: TarWriter;
  readonly #name: string;
  readonly #counted: Progress;
  #single = false;
  empty = true;

  constructor(path: Buffer, writer: TarWriter, options: CountedOptions) {
    this.#checker = new EntryChecker(options, (what) => options.log.warn(what));
    this.#writer = writer;
    this.#counted = options.counted;
    this.#name = splitPath(path).name.toString('latin1');
  }

  /** @param kind what the script has sent before the archive */
  begin(kind: string): void {
    if (kind !== 'd\n' && kind !== 'f\n') throw new CopyError('the testbed sent no archive', BROKEN);
    this.#single = kind === 'f\n';
    if (this.#single) this.#checker.check(DIRECTORY);
  }

  entry(raw: TarEntry): void {
    const entry = this.#checker.check(raw);
    const { path, kind } = entry;
    if (this.#single && (!this.empty || path !== this.#name || kind !== 'file')) {
      throw new CopyError(`${shown(path)} from the testbed is refused: it is not the requested file`, {
        code: 'ENTRY_REFUSED',
      });
    }
    for (const id of [entry.uid, entry.gid]) {
      if (id >= 0 && id <= LARGEST_ID) continue;
      throw new CopyError(`${shown(path)} from the testbed is refused: its owner ${id} is not a valid id`, {
        code: 'ENTRY_REFUSED',
      });
    }
    this.empty = false;
    this.#counted.files += 1;
    const shownPath = path === '.' ? './' : kind === 'directory' ? `${path}/` : path;
    this.#writer.entry({ ...entry, path: shownPath });
  }

  data(bytes: Buffer): void {
    this.#counted.bytes += bytes.length;
    this.#writer.data(bytes);
  }
}

/** The directory of a single file, which is not part of the archive. */
const DIRECTORY: TarEntry = {
  ...{ kind: 'directory', path: '.', mode: 0o755, uid: 0, gid: 0, mtime: '0' },
  ...{ size: 0, link: '', attributes: new Map() },
};
