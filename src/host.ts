/**
 * The only place where host processes are started, and every argv is logged. stdout, which has the protocol, is not
 * inherited.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { messageOf, systemCodeOf, TestbedError } from './errors.ts';
import { failureText, isFailure, parseEvent } from './helper.ts';
import { briefLine, type Log, printable, shellLine } from './log.ts';
import { remedyInWords, scarceRemedy } from './scarce.ts';

export type Argv = readonly [string, ...string[]];

export type Stdio = number | 'pipe' | 'ignore' | Writable;
export type StdioList = readonly [Stdio, Stdio, Stdio, ...Stdio[]];

interface HostProcessOptions {
  /** Default: no input, output discarded, this process's stderr. */
  stdio?: StdioList;
  cwd?: string;
  /** Added to the environment of this process, or with `cleanEnv` the whole environment. */
  env?: Readonly<Record<string, string>>;
  cleanEnv?: boolean;
  /** In a session of its own, so that the terminal sends it no signals. */
  detached?: boolean;
}

interface ExitStatus {
  readonly status: number;
  readonly signal: NodeJS.Signals | null;
}

export interface HostProcess {
  readonly pid: number;
  readonly child: ChildProcess;
  /** Resolves when the process was reaped; other processes may still hold its pipes. */
  readonly exited: Promise<ExitStatus>;
  kill(signal: NodeJS.Signals): void;
}

/**
 * Starts a process by Node's own spawn, which passes any descriptor and costs a third of execa. @throws TestbedError when it
 * cannot be started, also for want of descriptors or processes
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
  // Later errors, such as of a late kill, add nothing to the exit status.
  child.on('error', () => {});
  return { pid, child, exited, kill: (signal) => void child.kill(signal) };
}

const REMEDIES: Readonly<Record<string, string>> = {
  E2BIG: 'give it fewer or shorter arguments',
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
      remedy: REMEDIES[reason ?? ''] ?? scarceRemedy(reason),
      cause,
    },
  );
}

function signalNumber(signal: NodeJS.Signals | null): number {
  return signal === null ? 0 : constants.signals[signal];
}

interface HostOutput {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface RunHostOptions {
  input?: string;
  cwd?: string;
  env?: Readonly<Record<string, string>>;
  /** Milliseconds, after which the command is killed; its status is then 137. */
  timeout?: number;
}

/** Runs a command to its end with both outputs as text. @throws TestbedError only when it cannot be started */
export async function runHost(argv: Argv, log: Log, options: RunHostOptions = {}): Promise<HostOutput> {
  const [file, ...args] = argv;
  // Importing execa takes longer than starting a process.
  const { execa } = await import('execa');
  if (log.debugging) log.debug(`+ ${shellLine(argv)}`);
  checkDescriptors(file);
  const result = await execa(file, args, {
    input: options.input ?? '',
    // After sudo the working directory may be one that only root can enter, and execa would enter it again.
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

/** Descriptors that the start of a process with three pipes needs, and some more. */
const NEEDED_DESCRIPTORS = 12;

/** Without descriptors execa ends this process by an error that cannot be caught. */
function checkDescriptors(file: string): void {
  const opened: number[] = [];
  try {
    while (opened.length < NEEDED_DESCRIPTORS) opened.push(openSync('/dev/null', 'r'));
  } catch (cause) {
    throw cannotStart(file, cause);
  } finally {
    for (const descriptor of opened) closeSync(descriptor);
  }
}

interface QuickHostOptions extends Pick<RunHostOptions, 'input' | 'env'> {
  encoding?: BufferEncoding;
  /** Kills the command when it is aborted. */
  signal?: AbortSignal;
}

/** As runHost, without loading a library. */
export async function quickHost(
  argv: Argv,
  log: Log,
  { input, env = {}, encoding = 'utf8', signal }: QuickHostOptions = {},
): Promise<HostOutput> {
  const started = await spawnHost(argv, log, {
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env,
  });
  const { stdin } = started.child;
  stdin?.on('error', () => {});
  stdin?.end(input);
  const kill = () => started.kill('SIGKILL');
  signal?.addEventListener('abort', kill);
  if (signal?.aborted === true) kill();
  const [stdout, stderr, { status }] = await Promise.all([
    textOf(started.child.stdout, encoding),
    textOf(started.child.stderr),
    started.exited,
  ]);
  signal?.removeEventListener('abort', kill);
  return { status, stdout, stderr };
}

/** As quickHost, but throws a TestbedError with the command's stderr for a status other than 0. Gives its stdout. */
export async function mustRunHost(
  argv: Argv,
  log: Log,
  what: string,
  options: QuickHostOptions = {},
): Promise<string> {
  const { status, stdout, stderr } = await quickHost(argv, log, options);
  if (status !== 0) {
    throw toolFailed(what, { words: stderr, status, argv });
  }
  return stdout;
}

/** @param end the stderr and the status of a program of the host, and its argv where that says more */
export function toolFailed(
  what: string,
  { words, status, argv }: { readonly words: string; readonly status: number; readonly argv?: Argv },
): TestbedError {
  const why = briefWords(words) || `exit status ${status}`;
  const line = argv === undefined ? '' : ` (${briefLine(argv)})`;
  return new TestbedError(`${what} failed: ${why}${line}`, {
    code: 'TOOL_FAILED',
    remedy: remedyInWords(words) ?? 'run this program by hand to see why',
  });
}

/** The stderr of a tool as one line: at most three of its lines, without control characters. The helper writes events. */
export function briefWords(text: string): string {
  const lines = text
    .split(/[\r\n]+/)
    .map((line) => {
      const event = parseEvent(line);
      return printable(event !== undefined && isFailure(event) ? failureText(event) : line).trim();
    })
    .filter((line) => line !== '');
  return [...lines.slice(0, 3), ...(lines.length > 3 ? ['…'] : [])].join(' ');
}

/** Waits for an exclusive flock(2), which lasts until the descriptor is closed in all processes. @throws TestbedError */
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

/** Columns of the terminal of stderr, or 80. Node would open the terminal again, and a process that goes on without it would keep it. */
export function terminalColumns(): number {
  const { stdout } = spawnSync('stty', ['size'], { stdio: [2, 'pipe', 'ignore'], encoding: 'latin1' });
  const [, columns] = /^\d+ (\d+)/.exec(stdout ?? '') ?? [];
  return Number(columns) || 80;
}

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

/** The first line of a stream, or what came before its end; the rest is dropped. The stream may be hostile. */
export function firstLine(stream: Readable | null): Promise<string> {
  return new Promise((resolve) => {
    if (stream === null) return resolve('');
    let text = '';
    stream.on('data', (chunk: Buffer) => {
      if (text.length < 4096) text += chunk.toString('latin1', 0, 4096);
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
    });
    stream.once('close', () => resolve(text));
    stream.on('error', () => {});
  });
}
