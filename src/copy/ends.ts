import { shown } from '../archive/bytes.ts';
import { CopyError, CopyTimeoutError, TestbedError } from '../errors.ts';
import type { HostProcess } from '../host.ts';
import { copyTimeoutWords } from '../option-words.ts';
import { factsOf, remedyOfWords, sentenceOf } from './failures.ts';
import type { CopyOptions } from './types.ts';

const LONGEST_COMPLAINT = 4096;
/** Seconds. */
const DEFAULT_TIMEOUT = 300;

export interface End {
  readonly place: 'host' | 'testbed';
  readonly process: HostProcess;
  /** The first 4096 bytes of its stderr so far, on one line and safe for a terminal. */
  complaint(): string;
}

const SHELL_PREFIX = /^copy-(?:in|out)-(?:file|tree|archive)(?:\[\d+\])?: (?:(?:line )?\d+: )?/;

export class Ends {
  left: string | undefined;
  readonly #ends: End[] = [];
  #killed = false;

  /** The stderr of the process has to be a pipe. */
  add(process: HostProcess, place: End['place']): End {
    const chunks: Buffer[] = [];
    let length = 0;
    process.child.stderr?.on('data', (chunk: Buffer) => {
      if (length < LONGEST_COMPLAINT) chunks.push(chunk.subarray(0, LONGEST_COMPLAINT - length));
      length += chunk.length;
    });
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

  kill(): void {
    this.#killed = true;
    for (const { process } of this.#ends) {
      // The pid of a reaped process may be another's.
      if (process.child.exitCode === null && process.child.signalCode === null) process.kill('SIGKILL');
      for (const stream of process.child.stdio) stream?.destroy();
    }
  }

  async settled(): Promise<void> {
    this.kill();
    await Promise.all(this.#ends.map((end) => end.process.exited));
  }
}

/** Both processes have ended before this rejects. @param what for the message: "copying up a/" */
export async function withEnds(
  what: string,
  options: Pick<CopyOptions, 'timeout' | 'signal'>,
  work: (ends: Ends) => Promise<void>,
): Promise<void> {
  const { timeout = DEFAULT_TIMEOUT, signal } = options;
  const ends = new Ends();
  let stop: (reason: Error) => void = () => {};
  const stopped = new Promise<never>((_, reject) => {
    stop = reject;
  });
  const timer = setTimeout(() => stop(new CopyTimeoutError('')), timeout * 1000);
  const onAbort = (): void => {
    const { reason } = signal ?? {};
    stop(
      reason instanceof TestbedError
        ? reason
        : new CopyError('it was aborted', { code: 'ABORTED', cause: reason }),
    );
  };
  signal?.addEventListener('abort', onAbort);
  if (signal?.aborted === true) onAbort();
  const job = work(ends);
  try {
    await Promise.race([job, stopped]);
  } catch (error) {
    const [, outcome] = await Promise.allSettled([ends.settled(), job]);
    // Everything was copied when its time was over.
    if (outcome.status === 'fulfilled') return;
    if (error instanceof TestbedError) throw error;
    const left = ends.left === undefined ? '' : `; ${ends.left}`;
    if (error instanceof CopyTimeoutError) {
      throw new CopyTimeoutError(`${what} took longer than ${timeout} s and was ended${left}`, {
        remedy: `allow more seconds (${copyTimeoutWords()})`,
      });
    }
    throw new CopyError(`${what} failed: ${sentenceOf(error)}${left}`, { ...factsOf(error), cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

/** Milliseconds that stderr is read after the end of its process: another process may hold it. */
const LAST_WORDS = 500;
/** The status of an execute command that could not enter the testbed; a command's own 255 arrives as 253. */
const NOT_STARTED = 255;

/** What a process that has ended wrote to its stderr. */
export async function lastWords(end: End): Promise<string> {
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
  return end.complaint();
}

/** Gives the stderr of a process that ended with status 0. @throws CopyError, or TestbedError when it could not be run */
export async function mustEnd(end: End, what: string): Promise<string> {
  const { status } = await end.process.exited;
  const words = (await lastWords(end)).replace(
    /Wrote only \d+ of \d+ bytes/g,
    '$&: No space left, or the quota is used up',
  );
  await mustHaveRun(end, words);
  if (status !== 0) {
    throw new CopyError(words === '' ? `${what} ended with status ${status}` : words, {
      remedy: remedyOfWords(words, end.place),
    });
  }
  return words;
}

export async function mustHaveRun(end: End, words = end.complaint()): Promise<void> {
  const { status } = await end.process.exited;
  if (status !== NOT_STARTED || end.place !== 'testbed') return;
  const why = words === '' ? 'the testbed is broken: it could not run the command of a copy' : words;
  throw new TestbedError(why, { code: 'NOT_RUN' });
}

/** Waits for both processes of a pipe. @throws the error of the writer, unless it failed because the reader had ended */
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
