/** A directory from the host into the testbed: the host's tar, then the testbed's. */
import { closeSync, readFileSync, readSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { CopyError, messageOf } from '../errors.ts';
import { scriptText } from '../scripts.ts';
import { shellEscaped, shown } from './bytes.ts';
import { drain, type End, type Ends, mustEnd, roomIn, withEnds } from './ends.ts';
import { openDirectory, withoutSlash } from './host-paths.ts';
import { packTree } from './host-tar.ts';
import { openPipe, type Pipe } from './pipe.ts';
import { Progress } from './progress.ts';
import type { TarEntry } from './tar-entry.ts';
import { TarReader } from './tar-reader.ts';
import { type Dialect, TarWriter } from './tar-writer.ts';
import type { CopyOptions, CopyTestbed } from './types.ts';

export async function copyTreeIn(
  testbed: CopyTestbed,
  host: Buffer,
  inside: Buffer,
  options: CopyOptions,
): Promise<void> {
  await withEnds(`copying ${shown(host)} down to ${shown(inside)}`, options, async (ends) => {
    const directory = openSource(host);
    const progress = new Progress(options);
    let pipe: Pipe | undefined;
    try {
      pipe = await openPipe(options.log);
      const unpacking = ends.add(
        await testbed.start(
          [
            ...(['sh', '-c', scriptText('in-testbed', 'copy-in-tree.sh'), 'copy-in-tree'] as const),
            shellEscaped(withoutSlash(inside)),
          ],
          [pipe.read, 'pipe', 'pipe'],
        ),
        'testbed',
      );
      pipe.closeRead();
      const dialect = await dialectOf(unpacking);
      const send = dialect === 'pax' ? sendDirectly : sendAs;
      await bothEnd(await send(directory, pipe, ends, progress, options), unpacking);
    } finally {
      progress.end();
      pipe?.close();
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

/** What packs, and the promise that all of it was sent. */
interface Sending {
  readonly packing: End;
  readonly sent: Promise<void>;
}

/** GNU tar understands what GNU tar writes: the pipe leads from one to the other. */
async function sendDirectly(
  directory: number,
  pipe: Pipe,
  ends: Ends,
  progress: Progress,
  { log, progress: told }: CopyOptions,
): Promise<Sending> {
  // To write down its name costs a system call for each file: only when somebody looks.
  const names = told === undefined ? {} : { names: pipe.notes };
  const packing = ends.add(
    await packTree(directory, { output: pipe.write, sparse: true, ...names }, log),
    'host',
  );
  pipe.closeWrite();
  const count = lineCounter(pipe.notes);
  progress.watch(() => ({ bytes: bytesWritten(packing.process.pid), files: count() }));
  return { packing, sent: Promise.resolve() };
}

/** Other tars get the archive in their dialect. */
async function sendAs(
  directory: number,
  pipe: Pipe,
  ends: Ends,
  progress: Progress,
  { log }: CopyOptions,
): Promise<Sending> {
  const packing = ends.add(await packTree(directory, { output: 'pipe', sparse: false }, log), 'host');
  const { stdout } = packing.process.child;
  if (stdout === null) throw new CopyError('a pipe is missing');
  return { packing, sent: translate(packing, stdout, pipe.takeWrite(), progress) };
}

async function translate(packing: End, stdout: Readable, end: number, progress: Progress): Promise<void> {
  const output = new Socket({ fd: end, readable: false, writable: true });
  // A broken pipe says less than the words of who broke it.
  output.on('error', () => {});
  const writer = new TarWriter('gnu', (bytes) => void output.write(bytes));
  const directories: TarEntry[] = [];
  const reader = new TarReader({
    entry(entry) {
      progress.files += 1;
      if (entry.kind === 'directory') directories.push(entry);
      writer.entry(entry);
    },
    data(bytes) {
      progress.bytes += bytes.length;
      writer.data(bytes);
    },
  });
  try {
    await drain(stdout, (chunk) => {
      reader.push(chunk);
      return roomIn(output);
    });
    await mustEnd(packing, 'packing on the host');
    reader.finish();
    // Smaller tars set the time of a directory as soon as they have made it, before there is something in it: once again
    // then, the deepest first.
    for (const directory of directories.reverse()) writer.entry(directory);
    writer.end();
    await new Promise<void>((resolve) => output.end(resolve).once('close', resolve));
  } finally {
    output.destroy();
  }
}

/**
 * Waits for both ends.
 * @throws CopyError with the reason, and not with what only follows from it
 */
async function bothEnd({ packing, sent }: Sending, unpacking: End): Promise<void> {
  const ends = Promise.allSettled([
    mustEnd(packing, 'packing on the host'),
    mustEnd(unpacking, 'unpacking in the testbed'),
  ]);
  const [, [packed, unpacked]] = await Promise.all([sent, ends]);
  if (packed.status === 'rejected' && packing.process.child.signalCode !== 'SIGPIPE') throw packed.reason;
  if (unpacked.status === 'rejected') throw unpacked.reason;
  if (packed.status === 'rejected') throw packed.reason;
  if (/: socket ignored/.test(packed.value)) throw new CopyError(`sockets cannot be copied: ${packed.value}`);
  // GNU tar only warns of an attribute that it cannot set.
  if (/: Cannot (set|store)/i.test(unpacked.value)) throw new CopyError(unpacked.value);
}

/** What a process has written so far (proc(5), wchar of io); 0 when it is gone. */
function bytesWritten(pid: number): number {
  try {
    return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'latin1'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** Counts the lines of a growing file, each part of it once. */
function lineCounter(file: number): () => number {
  const buffer = Buffer.alloc(1 << 16);
  let position = 0;
  let lines = 0;
  return () => {
    for (;;) {
      const length = readSync(file, buffer, 0, buffer.length, position);
      if (length === 0) return lines;
      position += length;
      for (const byte of buffer.subarray(0, length)) lines += byte === 0x0a ? 1 : 0;
    }
  };
}
