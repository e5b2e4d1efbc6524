import { closeSync } from 'node:fs';
import { shown } from '../archive/bytes.ts';
import type { TarEntry } from '../archive/tar-entry.ts';
import { TarReader } from '../archive/tar-reader.ts';
import { type Dialect, TarWriter } from '../archive/tar-writer.ts';
import { CopyError } from '../errors.ts';
import { firstLine } from '../host.ts';
import type { Log } from '../log.ts';
import { roomIn } from '../wait.ts';
import { bothEnd, type End, type Ends, mustEnd, withEnds } from './ends.ts';
import { cannotRead, checkSockets, noTar } from './failures.ts';
import { openDirectory, withoutSlash } from './host-paths.ts';
import { packTree } from './host-tar.ts';
import { drain, existing } from './pipes.ts';
import { Progress } from './progress.ts';
import { startInside } from './script.ts';
import type { CopyOptions, CopyTestbed } from './types.ts';

const PACKING = 'packing on the host';
export const UNPACKING = 'unpacking in the testbed';

export async function copyTreeIn(
  testbed: CopyTestbed,
  host: Buffer,
  inside: Buffer,
  options: CopyOptions,
): Promise<void> {
  await withEnds(`copying ${shown(host)} to ${shown(inside)} in the testbed`, options, async (ends) => {
    const directory = openSource(host);
    const progress = new Progress(options);
    try {
      const stdio = ['pipe', 'pipe', 'pipe'] as const;
      const unpacking = await startInside(testbed, ends, 'copy-in-tree', stdio, withoutSlash(inside));
      const dialect = await dialectOf(unpacking);
      if (dialect === 'pax' && options.progress === undefined) {
        await sendDirectly(directory, unpacking, ends, options.log);
      } else {
        const packing = ends.add(await packTree(directory, 'pipe', options.log), 'host');
        const arrived = mustEnd(unpacking, UNPACKING).then(checkAttributes);
        await Promise.all([send(packing, unpacking, dialect, progress), arrived]);
      }
    } finally {
      progress.end();
      closeSync(directory);
    }
  });
}

function openSource(host: Buffer): number {
  try {
    return openDirectory(host);
  } catch (error) {
    throw cannotRead(error);
  }
}

export async function dialectOf(unpacking: End): Promise<Dialect> {
  const word = await firstLine(existing(unpacking.process.child.stdout));
  if (word === 'pax' || word === 'gnu') return word;
  await mustEnd(unpacking, UNPACKING);
  throw noTar();
}

async function sendDirectly(directory: number, unpacking: End, ends: Ends, log: Log): Promise<void> {
  const input = existing(unpacking.process.child.stdin);
  const packing = ends.add(await packTree(directory, input, log), 'host');
  input.destroy();
  const [packed, unpacked] = await bothEnd([packing, PACKING], [unpacking, UNPACKING]);
  checkSockets(packed);
  checkAttributes(unpacked);
}

async function send(packing: End, unpacking: End, dialect: Dialect, progress: Progress): Promise<void> {
  const stdin = existing(unpacking.process.child.stdin);
  const writer = dialect === 'pax' ? undefined : new TarWriter(dialect, (bytes) => void stdin.write(bytes));
  const directories: TarEntry[] = [];
  const reader = new TarReader({
    entry(entry) {
      progress.files += 1;
      if (writer !== undefined && entry.kind === 'directory') directories.push(entry);
      writer?.entry(entry);
    },
    data(bytes) {
      progress.bytes += bytes.length;
      writer?.data(bytes);
    },
  });
  await drain(existing(packing.process.child.stdout), (chunk) => {
    reader.push(chunk);
    if (writer === undefined) stdin.write(chunk);
    return roomIn(stdin);
  });
  checkSockets(await mustEnd(packing, PACKING));
  reader.finish();
  // Smaller tars set the time of a directory before its files exist, so directories are sent again, the deepest first.
  for (const directory of directories.reverse()) writer?.entry(directory);
  writer?.end();
  stdin.end();
}

export function checkAttributes(words: string): void {
  if (/: Cannot (set|store)/i.test(words)) throw new CopyError(words, { code: 'ATTRIBUTES_LOST' });
}
