import { type ByteString, shown } from '../archive/bytes.ts';
import type { TarEntry, TarSink } from '../archive/tar-entry.ts';
import { TarReader } from '../archive/tar-reader.ts';
import { TarWriter } from '../archive/tar-writer.ts';
import { CopyError } from '../errors.ts';
import { roomIn } from '../wait.ts';
import { EntryChecker } from './check.ts';
import { Destination, TREE } from './destination.ts';
import { type Ends, mustEnd, withEnds } from './ends.ts';
import { checkSockets, noTar } from './failures.ts';
import { withoutSlash } from './host-paths.ts';
import { unpackTree } from './host-tar.ts';
import { drain, existing } from './pipes.ts';
import { Progress } from './progress.ts';
import { startInside } from './script.ts';
import type { CopyOptions, CopyTestbed } from './types.ts';

export async function copyTreeOut(
  testbed: CopyTestbed,
  inside: Buffer,
  host: Buffer,
  options: CopyOptions,
): Promise<void> {
  await withEnds(`copying ${shown(inside)} from the testbed to ${shown(host)}`, options, async (ends) => {
    const destination = new Destination(host, options.log);
    const progress = new Progress(options);
    try {
      const checked = new CheckedTree(options, progress);
      await receive(testbed, inside, destination.staging, checked, ends, options);
      await destination.accept(checked.attributed);
    } finally {
      progress.end();
      await ends.settled();
      await destination.close();
    }
  });
}

/** The status of the script when there is no tar. */
export const NO_PROGRAM = 127;

class CheckedTree {
  readonly attributed = new Set<ByteString>();
  readonly checker: EntryChecker;
  readonly #progress: Progress;

  constructor(options: CopyOptions, progress: Progress) {
    this.checker = new EntryChecker(options, (what) => options.log.warn(what));
    this.#progress = progress;
  }

  into(writer: TarWriter): TarSink {
    return {
      entry: (raw: TarEntry) => {
        const entry = this.checker.check(raw);
        if (entry.kind === 'directory' && entry.attributes.size > 0) this.attributed.add(entry.path);
        this.#progress.files += 1;
        writer.entry({
          ...entry,
          // The files belong to the caller.
          uid: 0,
          gid: 0,
          path: entry.path === '.' ? `${TREE}/` : `${TREE}/${entry.path}`,
          link: entry.kind === 'hard link' ? `${TREE}/${entry.link}` : entry.link,
        });
      },
      data: (bytes) => {
        this.#progress.bytes += bytes.length;
        writer.data(bytes);
      },
    };
  }
}

async function receive(
  testbed: CopyTestbed,
  inside: Buffer,
  staging: number,
  checked: CheckedTree,
  ends: Ends,
  options: CopyOptions,
): Promise<void> {
  const unpacking = ends.add(await unpackTree(staging, options.log), 'host');
  const stdio = ['ignore', 'pipe', 'pipe'] as const;
  const packing = await startInside(testbed, ends, 'copy-out-tree', stdio, withoutSlash(inside));
  const stdin = existing(unpacking.process.child.stdin);
  const writer = new TarWriter('pax', (bytes) => void stdin.write(bytes));
  const reader = new TarReader(checked.into(writer));
  const pack = async (): Promise<void> => {
    await drain(existing(packing.process.child.stdout), (chunk) => {
      reader.push(chunk);
      return roomIn(stdin);
    });
    const { status } = await packing.process.exited;
    if (status === NO_PROGRAM && packing.complaint() === '') throw noTar();
    const words = await mustEnd(packing, 'the tar of the testbed');
    checkSockets(words);
    if (words !== '') options.log.debug(`tar in the testbed: ${words}`);
    reader.finish();
    if (!checked.checker.hasTop) {
      throw new CopyError('the archive from the testbed has no entries', { code: 'BROKEN_ARCHIVE' });
    }
    writer.end();
    stdin.end();
  };
  await Promise.all([pack(), mustEnd(unpacking, 'unpacking on the host')]);
}
