/** A directory from the host into the testbed: the host's tar, then the testbed's. */
import { closeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { CopyError, messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { shown } from './bytes.ts';
import { bothEnd, drain, type End, type Ends, inputOf, mustEnd, roomIn, withEnds } from './ends.ts';
import { openDirectory, withoutSlash } from './host-paths.ts';
import { packTree } from './host-tar.ts';
import { Progress } from './progress.ts';
import { startInside } from './script.ts';
import type { TarEntry } from './tar-entry.ts';
import { TarReader } from './tar-reader.ts';
import { type Dialect, TarWriter } from './tar-writer.ts';
import type { CopyOptions, CopyTestbed } from './types.ts';

const PACKING = 'packing on the host';
const UNPACKING = 'unpacking in the testbed';

export async function copyTreeIn(
  testbed: CopyTestbed,
  host: Buffer,
  inside: Buffer,
  options: CopyOptions,
): Promise<void> {
  await withEnds(`copying ${shown(host)} down to ${shown(inside)}`, options, async (ends) => {
    const directory = openSource(host);
    const progress = new Progress(options);
    try {
      const stdio = ['pipe', 'pipe', 'pipe'] as const;
      const unpacking = await startInside(testbed, ends, 'copy-in-tree', stdio, withoutSlash(inside));
      const dialect = await dialectOf(unpacking);
      // GNU tar understands what GNU tar has written. It passes through here only when somebody wants to hear how much it is.
      if (dialect === 'pax' && options.progress === undefined) {
        await sendDirectly(directory, unpacking, ends, options.log);
      } else {
        const packing = ends.add(await packTree(directory, 'pipe', options.log), 'host');
        const arrived = mustEnd(unpacking, UNPACKING).then(checkUnpacked);
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
    throw new CopyError(`cannot read it on the host: ${messageOf(error)}`, { cause: error });
  }
}

/** What the script in the testbed says of its tar before it reads the archive. */
async function dialectOf(unpacking: End): Promise<Dialect> {
  const { stdout } = unpacking.process.child;
  const word = stdout === null ? '' : await firstWord(stdout);
  if (word === 'pax' || word === 'gnu') return word;
  await mustEnd(unpacking, 'the testbed');
  throw new CopyError('the testbed said nothing of its tar');
}

function firstWord(stream: Readable): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    stream.on('data', (chunk: Buffer) => {
      if (text.length < 10) text += chunk.toString('latin1', 0, 10);
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
    });
    stream.once('close', () => resolve(text));
  });
}

async function sendDirectly(directory: number, unpacking: End, ends: Ends, log: Log): Promise<void> {
  const input = inputOf(unpacking);
  const packing = ends.add(await packTree(directory, input, log), 'host');
  input.destroy();
  const [packed, unpacked] = await bothEnd([packing, PACKING], [unpacking, UNPACKING]);
  checkPacked(packed);
  checkUnpacked(unpacked);
}

async function send(packing: End, unpacking: End, dialect: Dialect, progress: Progress): Promise<void> {
  const { stdout } = packing.process.child;
  const { stdin } = unpacking.process.child;
  if (stdout === null || stdin === null) throw new CopyError('a pipe is missing');
  // GNU tar gets what GNU tar wrote, which is only read along here; others get it in their dialect.
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
  await drain(stdout, (chunk) => {
    reader.push(chunk);
    if (writer === undefined) stdin.write(chunk);
    return roomIn(stdin);
  });
  checkPacked(await mustEnd(packing, PACKING));
  reader.finish();
  // Smaller tars set the time of a directory as soon as they have made it, before there is something in it: once again
  // then, the deepest first.
  for (const directory of directories.reverse()) writer?.entry(directory);
  writer?.end();
  stdin.end();
}

function checkPacked(words: string): void {
  if (/: socket ignored/.test(words)) throw new CopyError(`sockets cannot be copied: ${words}`);
}

function checkUnpacked(words: string): void {
  // GNU tar only warns of an attribute that it cannot set.
  if (/: Cannot (set|store)/i.test(words)) throw new CopyError(words);
}
