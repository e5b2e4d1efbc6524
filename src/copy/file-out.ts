/** A single file from the testbed to the host: its cat, our dd, and a pipe that leads from one to the other past us. */
import { Socket } from 'node:net';
import { CopyError, messageOf, TestbedError } from '../errors.ts';
import { type HostProcess, spawnHost } from '../host.ts';
import type { Log } from '../log.ts';
import { scriptText } from '../scripts.ts';
import { shellEscaped, shown } from './bytes.ts';
import { DEFAULT_MAX_BYTES, tooManyBytes } from './check.ts';
import { type End, type Ends, inputOf, mustEnd, withEnds } from './ends.ts';
import { Progress, positionOf } from './progress.ts';
import { TargetFile } from './target-file.ts';
import type { CopyOptions, CopyTestbed } from './types.ts';

const EXECUTABLE = 'x'.charCodeAt(0);

export async function copyFileOut(
  testbed: CopyTestbed,
  inside: Buffer,
  host: Buffer,
  options: CopyOptions,
): Promise<void> {
  await withEnds(`copying ${shown(inside)} up to ${shown(host)}`, options, async (ends) => {
    const target = new TargetFile(host, options.log);
    const progress = new Progress(options, () => positionOf(target.file));
    try {
      try {
        await receive(testbed, inside, target, ends, options);
        progress.files = 1;
      } finally {
        progress.end();
      }
      await target.accept();
    } catch (error) {
      await ends.settled();
      const left = await target.abandon();
      if (error instanceof TestbedError) throw error;
      throw new CopyError(`${messageOf(error)}${left}`, { cause: error });
    }
  });
}

async function receive(
  testbed: CopyTestbed,
  inside: Buffer,
  target: TargetFile,
  ends: Ends,
  { log, maxBytes = DEFAULT_MAX_BYTES }: CopyOptions,
): Promise<void> {
  const writing = ends.add(await startWriting(target.file, maxBytes, log), 'host');
  const input = inputOf(writing);
  const reading = ends.add(
    await testbed.start(
      ['sh', '-c', scriptText('in-testbed', 'copy-out-file.sh'), 'copy-out-file', shellEscaped(inside)],
      ['ignore', input, 'pipe', 'pipe'],
    ),
    'testbed',
  );
  input.destroy();
  const [, , , talk] = reading.process.child.stdio;
  if (!(talk instanceof Socket)) throw new CopyError('a pipe is missing');
  const answer = await Promise.race([firstByte(talk), reading.process.exited.then(() => undefined)]);
  if (answer === undefined) {
    await mustEnd(reading, 'reading in the testbed');
    throw new CopyError('the testbed sent nothing');
  }
  target.begin(answer === EXECUTABLE);
  talk.end('\n', () => talk.destroy());
  if ((await bytesWritten(writing)) > maxBytes) throw tooManyBytes(maxBytes);
  await mustEnd(reading, 'reading in the testbed');
}

/** Writes its standard input, but no more than one byte too much, to a file, and says at its end how much it was. */
function startWriting(file: number, maxBytes: number, log: Log): Promise<HostProcess> {
  const count = Math.min(maxBytes, Number.MAX_SAFE_INTEGER - 1) + 1;
  return spawnHost(['dd', 'bs=128K', 'iflag=fullblock,count_bytes', `count=${count}`], log, {
    stdio: ['pipe', file, 'pipe'],
    env: { LC_ALL: 'C' },
  });
}

/** Waits for the end of dd. @throws CopyError with its reason */
async function bytesWritten(writing: End): Promise<number> {
  let words: string;
  try {
    words = await mustEnd(writing, 'dd');
  } catch (error) {
    const [, reason = messageOf(error)] = /^dd: .*?: ([^;]+)/.exec(messageOf(error)) ?? [];
    throw new CopyError(`writing on the host failed: ${reason}`, { cause: error });
  }
  const [, bytes] = /(?:^|; )(\d+) bytes? /.exec(words) ?? [];
  if (bytes === undefined) throw new CopyError(`dd did not say how much it has written: ${words}`);
  return Number(bytes);
}

/** What the script says when it could open the file; nothing more is read. Undefined when it says nothing. */
function firstByte(talk: Socket): Promise<number | undefined> {
  return new Promise((resolve) => {
    talk.once('data', (chunk: Buffer) => {
      talk.pause();
      resolve(chunk[0]);
    });
    talk.once('close', () => resolve(undefined));
  });
}
