/** The two ends of a copy, its time limit, and how they are ended. */
import type { Readable, Writable } from 'node:stream';
import { CopyError, CopyTimeoutError, messageOf, TestbedError } from '../errors.ts';
import type { HostProcess } from '../host.ts';
import { shown } from './bytes.ts';
import type { CopyOptions } from './types.ts';

const LONGEST_COMPLAINT = 4096;
/** Seconds. */
const DEFAULT_TIMEOUT = 300;

/** A process of a copy and what it says on stderr. */
export interface End {
  readonly place: 'host' | 'testbed';
  readonly process: HostProcess;
  /** The first 4096 bytes of stderr so far, fit to be shown, on one line. */
  complaint(): string;
}

/** How shells begin what they say of a script of ours: with its name and a line in it, which help nobody. */
const SHELL_PREFIX = /^copy-(?:in|out)-(?:file|tree)(?:\[\d+\])?: (?:(?:line )?\d+: )?/;

/** Keeps every process of one copy and kills all of them when it fails or takes too long. */
export class Ends {
  /** What a copy that fails leaves behind, for its message: nothing, or "; " and a sentence. */
  left = '';
  readonly #ends: End[] = [];
  #killed = false;

  /** Takes care of a process, whose stderr has to be a pipe. */
  add(process: HostProcess, place: End['place']): End {
    const chunks: Buffer[] = [];
    let length = 0;
    process.child.stderr?.on('data', (chunk: Buffer) => {
      if (length < LONGEST_COMPLAINT) chunks.push(chunk.subarray(0, LONGEST_COMPLAINT - length));
      length += chunk.length;
    });
    // A broken pipe says less than the exit status of who broke it.
    for (const stream of process.child.stdio) stream?.on('error', () => {});
    const complaint = (): string => {
      const lines = Buffer.concat(chunks).toString('latin1').split('\n');
      return lines
        .map((line) => shown(line.trim().replace(SHELL_PREFIX, '')))
        .filter((line) => line !== '')
        .join('; ');
    };
    const end: End = { place, process, complaint };
    this.#ends.push(end);
    if (this.#killed) this.kill();
    return end;
  }

  /** Kills every process and closes every pipe. */
  kill(): void {
    this.#killed = true;
    for (const { process } of this.#ends) {
      // The number of one that has been reaped may already be another's.
      if (process.child.exitCode === null && process.child.signalCode === null) process.kill('SIGKILL');
      for (const stream of process.child.stdio) stream?.destroy();
    }
  }

  /** Kills what still runs, and resolves when every process has ended. */
  async settled(): Promise<void> {
    this.kill();
    await Promise.all(this.#ends.map((end) => end.process.exited));
  }
}

/**
 * Does a copy. When it fails, its time is up or its signal says so, both ends are killed and have ended before this rejects.
 * @param what for the message: "copying up a/"
 */
export async function withEnds(
  what: string,
  options: Pick<CopyOptions, 'timeout' | 'signal'>,
  work: (ends: Ends) => Promise<void>,
): Promise<void> {
  const { timeout = DEFAULT_TIMEOUT } = options;
  const ends = new Ends();
  let stop: (reason: Error) => void = () => {};
  const stopped = new Promise<never>((_, reject) => {
    stop = reject;
  });
  const timer = setTimeout(() => {
    stop(new CopyTimeoutError(`${what} took longer than ${timeout} s; both ends were killed`));
  }, timeout * 1000);
  const onAbort = (): void =>
    stop(new CopyError(`${what} was broken off`, { cause: options.signal?.reason }));
  options.signal?.addEventListener('abort', onAbort);
  if (options.signal?.aborted === true) onAbort();
  const job = work(ends);
  try {
    await Promise.race([job, stopped]);
  } catch (error) {
    await Promise.allSettled([ends.settled(), job]);
    if (error instanceof TestbedError) throw error;
    if (error instanceof CopyTimeoutError) throw new CopyTimeoutError(`${error.message}${ends.left}`);
    throw new CopyError(`${what} failed: ${messageOf(error)}${ends.left}`, { cause: error });
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
  }
}

/** A process that has ended may have left its stderr to another one: that is not waited for longer, in ms. */
const LAST_WORDS = 500;
/** The execute program's status for a testbed that is not there. */
const NOT_STARTED = 255;

/**
 * Waits for the end of a process and gives what it said on stderr.
 * @param what it did, for a message without its own words
 * @throws CopyError with its words when its status is not 0
 * @throws TestbedError when the testbed could not run it
 */
export async function mustEnd(end: End, what: string): Promise<string> {
  const { status } = await end.process.exited;
  const { stderr } = end.process.child;
  if (stderr !== null && !stderr.closed) {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LAST_WORDS);
      stderr.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
  const words = end
    .complaint()
    .replace(/Wrote only \d+ of \d+ bytes/g, '$&: No space left, or too much for a quota');
  await mustHaveRun(end, words);
  if (status !== 0) throw new CopyError(words === '' ? `${what} ended with status ${status}` : words);
  return words;
}

/** Waits for the end of a process. @throws TestbedError when the testbed could not run it */
export async function mustHaveRun(end: End, words = end.complaint()): Promise<void> {
  const { status } = await end.process.exited;
  // Nothing in the testbed can end with this: its own 255 arrives as 253.
  if (status !== NOT_STARTED || end.place !== 'testbed') return;
  throw new TestbedError(
    words === '' ? 'the testbed is broken: it could not run the command of a copy' : words,
  );
}

/**
 * Our end of the pipe that a process reads, for the process that is to write it: what they copy then never comes through here.
 * To be destroyed as soon as it was handed over, so that its end of file is told.
 */
export function inputOf(end: End): Writable {
  const { stdin } = end.process.child;
  if (stdin === null) throw new CopyError('a pipe is missing');
  return stdin;
}

/**
 * Waits for the end of both who share a pipe, each with what it did, for a message without its own words. Gives what they
 * said on stderr.
 * @throws as mustEnd, with the reason and not with what only follows from it: that of who wrote, unless the pipe broke
 */
export async function bothEnd(
  [writer, written]: readonly [End, string],
  [reader, read]: readonly [End, string],
): Promise<[string, string]> {
  const [sent, received] = await Promise.allSettled([mustEnd(writer, written), mustEnd(reader, read)]);
  if (sent.status === 'rejected' && writer.process.child.signalCode !== 'SIGPIPE') throw sent.reason;
  if (received.status === 'rejected') throw received.reason;
  if (sent.status === 'rejected') throw sent.reason;
  return [sent.value, received.value];
}

/**
 * Hands everything a stream has to `take`, in order, until its end. `take` may give a promise: the stream waits for it, so
 * that at most one chunk is held. Rejects when the stream breaks or `take` throws.
 */
export async function drain(
  stream: Readable,
  take: (chunk: Buffer) => Promise<void> | undefined,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.on('data', (chunk: Buffer) => {
      try {
        const wait = take(chunk);
        if (wait === undefined) return;
        stream.pause();
        wait.then(() => stream.resume(), reject);
      } catch (error) {
        stream.pause();
        reject(error);
      }
    });
    stream.once('end', resolve);
    stream.once('error', reject);
    stream.once('close', () => reject(new CopyError('the pipe was closed')));
  });
}

/** Resolves when a stream that was full takes more, or never will again. */
export function roomIn(stream: Writable): Promise<void> | undefined {
  if (!stream.writableNeedDrain || stream.destroyed) return undefined;
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done);
      stream.off('close', done);
      resolve();
    };
    stream.on('drain', done);
    stream.on('close', done);
  });
}
