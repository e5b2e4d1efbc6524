/** A driver's side of the virt server protocol, with measured times. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';

/** The user and environment of a program. */
export interface Caller {
  readonly env: NodeJS.ProcessEnv;
  /** Given only when the bench runs as root and the program must not. */
  readonly uid?: number;
  readonly gid?: number;
}

export type Words = readonly [string, ...string[]];

export class VirtServer {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  /** Milliseconds from the start of the program to its first `ok`. */
  readonly firstOk: number;

  private constructor(child: ChildProcess, reader: Interface, lines: AsyncIterator<string>, firstOk: number) {
    this.child = child;
    this.#reader = reader;
    this.#lines = lines;
    this.firstOk = firstOk;
  }

  static async start(argv: Words, caller: Caller): Promise<VirtServer> {
    const [file, ...args] = argv;
    const begin = performance.now();
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'], cwd: '/', ...caller });
    const reader = createInterface({ input: child.stdout });
    const lines = reader[Symbol.asyncIterator]();
    const { value } = await lines.next();
    if (value !== 'ok') throw new Error(`${argv.join(' ')} did not say ok but ${JSON.stringify(value)}`);
    return new VirtServer(child, reader, lines, performance.now() - begin);
  }

  /** Gives the words after `ok`. */
  async ask(request: string): Promise<string[]> {
    this.child.stdin?.write(`${request}\n`);
    const { value, done } = await this.#lines.next();
    const [verdict, ...words] = String(value).split(' ');
    if (done === true || verdict !== 'ok')
      throw new Error(`${request}: the server answered ${JSON.stringify(value)}`);
    return words;
  }

  async time(request: string): Promise<number> {
    const begin = performance.now();
    await this.ask(request);
    return performance.now() - begin;
  }

  async executeCommand(): Promise<string[]> {
    const [words = ''] = await this.ask('print-execute-command');
    return words.split(',').map(decodeURIComponent);
  }

  async quit(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.stdin?.write('quit\n');
    await ended;
    this.#reader.close();
  }
}

/** Runs a program to its end and gives the milliseconds; a status other than 0 is an error. */
export async function timeProgram(
  argv: readonly string[],
  caller: Caller = { env: process.env },
): Promise<number> {
  const [file = '', ...args] = argv;
  const begin = performance.now();
  const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/', ...caller });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  const took = performance.now() - begin;
  if (status !== 0) {
    if (!child.stderr.readableEnded) await once(child.stderr, 'close');
    throw new Error(`${argv.join(' ')} ended with status ${status}: ${stderr.trim().split('\n').pop()}`);
  }
  child.stderr.destroy();
  return took;
}

const REPEAT = 'n=$1; shift; while [ "$n" -gt 0 ]; do "$@" || exit; n=$((n - 1)); done';

/**
 * Milliseconds for one run of a short program: the mean of several in a shell, because Node's own start of a process takes as
 * long.
 */
export async function timeRepeated(argv: readonly string[], runs: number, caller: Caller): Promise<number> {
  return (await timeProgram(['sh', '-c', REPEAT, 'repeat', String(runs), ...argv], caller)) / runs;
}
