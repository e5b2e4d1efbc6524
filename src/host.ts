/**
 * The one place where host processes are started: the only importer of execa. Every argv is logged so that it can be
 * pasted. A child's stdio is always said in full; nothing inherits stdout by default, because stdout is the protocol.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { messageOf, systemCodeOf, TestbedError } from './errors.ts';
import { briefLine, type Log, printable, shellLine } from './log.ts';

/** A program and its arguments. */
export type Argv = readonly [string, ...string[]];

/** One entry of a child's stdio: a descriptor of this process, a new pipe, /dev/null, or the end of another child's pipe. */
export type Stdio = number | 'pipe' | 'ignore' | Writable;
/** stdin, stdout, stderr, then further descriptors from 3 on. */
export type StdioList = readonly [Stdio, Stdio, Stdio, ...Stdio[]];

export interface HostProcessOptions {
  /** stdin, stdout, stderr and further descriptors. Default: nothing to read, output discarded, this process's stderr. */
  stdio?: StdioList;
  cwd?: string;
  /** Added to our own environment, or instead of it with `cleanEnv`. */
  env?: Readonly<Record<string, string>>;
  cleanEnv?: boolean;
  /** Start a session and process group of its own (setsid), out of reach of the terminal's signals. */
  detached?: boolean;
}

export interface ExitStatus {
  /** Exit status, or 128 + signal number as a shell would say it. */
  readonly status: number;
  readonly signal: NodeJS.Signals | null;
}

export interface HostProcess {
  readonly pid: number;
  readonly child: ChildProcess;
  /** Resolves when the process itself has ended and been reaped; its pipes may still be held by others. */
  readonly exited: Promise<ExitStatus>;
  kill(signal: NodeJS.Signals): void;
}

/**
 * Starts a long-lived host process whose descriptors matter. By Node's own spawn: it passes any descriptor number through
 * unchanged and costs a third of what execa adds, on a path where every millisecond is waited for.
 * Rejects with a TestbedError that names the program when it cannot be started.
 */
export async function spawnHost(
  argv: Argv,
  log: Log,
  options: HostProcessOptions = {},
): Promise<HostProcess> {
  if (log.debugging) log.debug(`+ ${shellLine(argv)}`);
  const [file, ...args] = argv;
  let child: ChildProcess;
  try {
    child = spawn(file, args, {
      stdio: [...(options.stdio ?? ['ignore', 'ignore', 2])],
      cwd: options.cwd,
      env: { ...(options.cleanEnv === true ? {} : process.env), ...options.env },
      detached: options.detached ?? false,
    });
  } catch (cause) {
    // Some failures of the kernel are thrown, others are reported by an event.
    throw cannotStart(file, cause);
  }
  const exited = new Promise<ExitStatus>((resolve) => {
    child.once('exit', (code, signal) => resolve({ status: code ?? 128 + signalNumber(signal), signal }));
  });
  const { pid } = child;
  if (pid === undefined) {
    const cause = await new Promise<Error>((resolve) => child.once('error', resolve));
    throw cannotStart(file, cause);
  }
  // Later errors (a kill that came too late) say nothing that the exit status does not.
  child.on('error', () => {});
  return { pid, child, exited, kill: (signal) => void child.kill(signal) };
}

/** What helps where the kernel could not start a program, by the errno word. */
const REMEDIES: Readonly<Record<string, string>> = {
  E2BIG: 'give it fewer or shorter arguments',
  EAGAIN: 'end other processes of this user, or raise its limit (ulimit -u)',
  EMFILE: 'raise the limit of open files (ulimit -n)',
  ENFILE: 'end programs that have many files open, or raise fs.file-max',
  ENOMEM: 'free some memory',
  EACCES: 'make it executable for this user',
  ENOEXEC: 'install the package of this architecture',
  ENOENT: 'install it, or correct PATH',
};

function cannotStart(file: string, cause: unknown): TestbedError {
  const reason = systemCodeOf(cause);
  const missing = reason === 'ENOENT';
  return new TestbedError(
    `cannot start ${file}: ${missing ? 'there is no such program' : messageOf(cause)}`,
    {
      code: missing ? 'NO_PROGRAM' : 'CANNOT_START',
      remedy: REMEDIES[reason ?? ''],
      cause,
    },
  );
}

function signalNumber(signal: NodeJS.Signals | null): number {
  return signal === null ? 0 : constants.signals[signal];
}

export interface HostOutput {
  /** Exit status, or 128 + signal number. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunHostOptions {
  /** What the command reads. Default: nothing. */
  input?: string;
  /** Default: /. */
  cwd?: string;
  /** Added to our own environment. */
  env?: Readonly<Record<string, string>>;
  /** Milliseconds; default: none. The command is killed when they have passed, and the status is 137. */
  timeout?: number;
}

/**
 * Runs a short host command to its end, both outputs kept as text. Does not throw on a status other than 0.
 * Throws a TestbedError when the program cannot be started.
 */
export async function runHost(argv: Argv, log: Log, options: RunHostOptions = {}): Promise<HostOutput> {
  // Loaded at its first use: importing execa takes longer than starting a process does.
  const { execa } = await import('execa');
  if (log.debugging) log.debug(`+ ${shellLine(argv)}`);
  const [file, ...args] = argv;
  const result = await execa(file, args, {
    input: options.input ?? '',
    // Not that of this process: execa would enter it again, and after sudo it may be one that only root can enter.
    cwd: options.cwd ?? '/',
    ...(options.env === undefined ? {} : { env: { ...options.env } }),
    ...(options.timeout === undefined ? {} : { timeout: options.timeout, killSignal: 'SIGKILL' as const }),
    reject: false,
    stripFinalNewline: false,
  });
  if (result.exitCode === undefined && result.signal === undefined) {
    throw cannotStart(file, result.cause ?? result);
  }
  const signal = result.signal === undefined ? 0 : constants.signals[result.signal];
  return { status: result.exitCode ?? 128 + signal, stdout: result.stdout, stderr: result.stderr };
}

export interface QuickHostOptions extends Pick<RunHostOptions, 'input' | 'env'> {
  /** Of stdout. Default: UTF-8. */
  encoding?: BufferEncoding;
}

/** As runHost, for the way to an open testbed and from it: no library has to be loaded first. */
export async function quickHost(
  argv: Argv,
  log: Log,
  { input, env = {}, encoding = 'utf8' }: QuickHostOptions = {},
): Promise<HostOutput> {
  const started = await spawnHost(argv, log, {
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env,
  });
  const { stdin } = started.child;
  // A program that ends before it has read all reports why by its status.
  stdin?.on('error', () => {});
  stdin?.end(input);
  const [stdout, stderr, { status }] = await Promise.all([
    textOf(started.child.stdout, encoding),
    textOf(started.child.stderr),
    started.exited,
  ]);
  return { status, stdout, stderr };
}

/** As quickHost, but a status other than 0 is a TestbedError with the command's own words. Gives its stdout. */
export async function mustRunHost(
  argv: Argv,
  log: Log,
  what: string,
  options: QuickHostOptions = {},
): Promise<string> {
  const { status, stdout, stderr } = await quickHost(argv, log, options);
  if (status !== 0) {
    const words = briefWords(stderr) || `exit status ${status}`;
    throw new TestbedError(`${what} failed: ${words} (${briefLine(argv)})`, { code: 'TOOL_FAILED' });
  }
  return stdout;
}

/**
 * What a tool wrote to stderr, in one line for a sentence: at most three of its lines, as it may report each of many files, and
 * without control characters. Empty when it wrote nothing.
 */
export function briefWords(text: string): string {
  const lines = text
    .split(/[\r\n]+/)
    .map((line) => printable(line).trim())
    .filter((line) => line !== '');
  return [...lines.slice(0, 3), ...(lines.length > 3 ? ['…'] : [])].join(' ');
}

/**
 * Takes an exclusive flock(2) on an open file and waits for it. The lock belongs to the open file, so it ends when this process
 * closes the descriptor or ends.
 * @throws TestbedError when the file system has no locks
 */
export function lockSync(fd: number): void {
  const { status, error, stderr } = spawnSync('flock', ['3'], {
    stdio: ['ignore', 'ignore', 'pipe', fd],
    encoding: 'utf8',
  });
  if (error !== undefined) throw cannotStart('flock', error);
  if (status === 0) return;
  const words = briefWords(stderr) || `flock ended with status ${status}`;
  throw new TestbedError(`cannot lock a file: ${words}`, { code: 'CANNOT_LOCK' });
}

/** Everything a stream has to say until it ends or is destroyed, as text; an absent stream says nothing. */
export function textOf(stream: Readable | null, encoding: BufferEncoding = 'utf8'): Promise<string> {
  return new Promise((resolve) => {
    if (stream === null) {
      resolve('');
      return;
    }
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => {});
    stream.on('close', () => resolve(Buffer.concat(chunks).toString(encoding)));
  });
}
