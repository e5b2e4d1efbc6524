/** An archive of the caller into a directory of a testbed. The tar of the testbed reads only what is written here. */
import { Readable } from 'node:stream';
import { shown } from '../archive/bytes.ts';
import { TarReader } from '../archive/tar-reader.ts';
import { TarWriter } from '../archive/tar-writer.ts';
import { CopyError, reasonOf } from '../errors.ts';
import { roomIn } from '../wait.ts';
import { type ArchiveSource, stopSource, watchSource } from './archive-source.ts';
import { IncomingChecker } from './check-in.ts';
import { type Ends, mustEnd, withEnds } from './ends.ts';
import { withoutSlash } from './host-paths.ts';
import { existing } from './pipes.ts';
import { Progress } from './progress.ts';
import { startInside } from './script.ts';
import { checkAttributes, dialectOf, UNPACKING } from './tree-in.ts';
import type { CopyOptions, CopyTestbed } from './types.ts';

export interface PutOptions extends CopyOptions {
  /** Whether the ids of the archive are kept; else all belongs to root of the testbed. */
  readonly owners: boolean;
}

export async function putArchive(
  testbed: CopyTestbed,
  given: ArchiveSource,
  inside: Buffer,
  options: PutOptions,
): Promise<void> {
  // Only so can it be cancelled while a piece of it is awaited.
  const isWeb = given instanceof ReadableStream && !given.locked;
  const source = isWeb ? Readable.fromWeb(given, { objectMode: true }) : given;
  watchSource(source);
  try {
    await withEnds(`putting an archive into ${shown(inside)}`, options, async (ends) => {
      await unpack(testbed, source, inside, ends, options);
    });
  } finally {
    stopSource(source);
  }
}

async function unpack(
  testbed: CopyTestbed,
  source: ArchiveSource,
  inside: Buffer,
  ends: Ends,
  options: PutOptions,
): Promise<void> {
  const owners = options.owners ? 'owners' : '-';
  const stdio = ['pipe', 'pipe', 'pipe'] as const;
  const unpacking = await startInside(testbed, ends, 'copy-in-archive', stdio, withoutSlash(inside), owners);
  const dialect = await dialectOf(unpacking);
  const stdin = existing(unpacking.process.child.stdin);
  const writer = new TarWriter(dialect, (bytes) => void stdin.write(bytes));
  const checker = new IncomingChecker(options);
  const progress = new Progress(options);
  const reader = new TarReader({
    entry(entry) {
      progress.files += 1;
      const checked = checker.check(entry);
      writer.entry({ ...checked, path: checked.path === '.' ? './' : checked.path });
    },
    data(bytes) {
      progress.bytes += bytes.length;
      writer.data(bytes);
    },
  });
  const send = async (): Promise<void> => {
    let start: Buffer = Buffer.alloc(0);
    try {
      for await (const chunk of readable(source)) {
        // Why tar has ended is known from its status.
        if (stdin.destroyed) return;
        if (start.length < LONGEST_MAGIC) start = Buffer.concat([start, chunk.subarray(0, LONGEST_MAGIC)]);
        reader.push(chunk);
        await roomIn(stdin);
      }
      reader.finish();
    } catch (error) {
      if (progress.files === 0) refuseCompressed(start);
      throw error;
    }
    writer.end();
    stdin.end();
  };
  try {
    const arrived = mustEnd(unpacking, UNPACKING).then(checkAttributes);
    await Promise.all([send(), arrived]);
  } finally {
    progress.end();
  }
}

async function* readable(source: ArchiveSource): AsyncGenerator<Buffer> {
  if (source instanceof Uint8Array) {
    yield bytesOf(source);
    return;
  }
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      let next: IteratorResult<unknown>;
      try {
        next = await iterator.next();
      } catch (cause) {
        const what = `the archive cannot be read: ${reasonOf(cause)}`;
        throw new CopyError(what, { code: 'CANNOT_READ', cause });
      }
      if (next.done === true) return;
      yield bytesOf(next.value);
    }
  } finally {
    // When the copy has failed: a generator closes what it has open.
    Promise.resolve(iterator.return?.()).catch(() => {});
  }
}

function bytesOf(chunk: unknown): Buffer {
  if (chunk instanceof Uint8Array) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  throw new CopyError('the archive is not a stream of bytes', {
    code: 'WRONG_VALUE',
    remedy: 'give a stream without an encoding',
  });
}

const LONGEST_MAGIC = 6;
const MAGIC: readonly (readonly [string, Buffer])[] = [
  ['gzip', Buffer.from([0x1f, 0x8b])],
  ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
  ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00])],
  ['bzip2', Buffer.from('BZh')],
];

function refuseCompressed(start: Buffer): void {
  const found = MAGIC.find(([, magic]) => start.subarray(0, magic.length).equals(magic));
  if (found === undefined) return;
  throw new CopyError(`the archive is compressed by ${found[0]}`, {
    code: 'BROKEN_ARCHIVE',
    remedy: 'decompress it first, such as by zstd -dc, or by zlib.createGunzip() in the library',
  });
}
