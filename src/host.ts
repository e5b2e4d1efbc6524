/**
 * The one place where host processes are started: the only importer of execa. Every argv is logged so that it can be
 * pasted. A child's stdio is always said in full; nothing inherits stdout by default, because stdout is the protocol.
 */
import type { ChildProcess } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { TestbedError } from './errors.ts';
import { type Log, shellLine } from './log.ts';

/** One entry of a child's stdio: a descriptor number of ours, a fresh pipe, or /dev/null. */
export type Stdio = number | 'pipe' | 'ignore';
/** stdin, stdout, stderr, then further descriptors from 3 on. */
export type StdioList = readonly [Stdio, Stdio, Stdio, ...Stdio[]];

export interface HostProcessOptions {
  /** stdin, stdout, stderr and further descriptors. Default: nothing to read, output discarded, stderr ours. */
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

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGSYS: 31,
};

let execaModule: Promise<typeof import('execa')> | undefined;

/** Loads execa ahead of its first use; it takes longer than starting a process does. */
export function loadHost(): Promise<typeof import('execa')> {
  execaModule ??= import('execa');
  return execaModule;
}

/** Starts a host process. Rejects with a TestbedError that names the program when it cannot be started. */
export async function spawnHost(
  argv: readonly [string, ...string[]],
  log: Log,
  options: HostProcessOptions = {},
): Promise<HostProcess> {
  const { execa } = await loadHost();
  if (log.debugging) log.debug(`+ ${shellLine(argv)}`);
  const [file, ...args] = argv;
  const child = execa(file, args, {
    stdio: options.stdio ?? ['ignore', 'ignore', 2],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
    extendEnv: options.cleanEnv !== true,
    detached: options.detached ?? false,
    buffer: false,
    reject: false,
    cleanup: false,
    stripFinalNewline: false,
  });
  const exited = new Promise<ExitStatus>((resolve) => {
    child.once('exit', (code, signal) => {
      resolve({ status: code ?? 128 + (signal === null ? 0 : (SIGNAL_NUMBERS[signal] ?? 0)), signal });
    });
  });
  // execa's own promise waits for the pipes too; whoever reads them sees their end.
  child.catch(() => {});
  if (child.pid === undefined) {
    const { cause, shortMessage } = await child;
    throw new TestbedError(
      `cannot start ${file}: ${shortMessage ?? 'unknown reason'}; install it or mend PATH`,
      {
        cause,
      },
    );
  }
  return { pid: child.pid, child, exited, kill: (signal) => void child.kill(signal) };
}

export interface HostOutput extends ExitStatus {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a short host command to its end, both outputs kept as text. Does not throw on a status other than 0. */
export async function runHost(
  argv: readonly [string, ...string[]],
  log: Log,
  options: Omit<HostProcessOptions, 'stdio'> & { input?: string } = {},
): Promise<HostOutput> {
  const { input, ...rest } = options;
  const started = await spawnHost(argv, log, {
    ...rest,
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  const stdin = started.child.stdin;
  if (stdin !== null && input !== undefined) {
    stdin.on('error', () => {});
    stdin.end(input);
  }
  const [stdout, stderr, exit] = await Promise.all([
    textOf(started.child.stdout),
    textOf(started.child.stderr),
    started.exited,
  ]);
  return { ...exit, stdout, stderr };
}

/** As runHost, but a status other than 0 is a TestbedError with the command's own words. */
export async function mustRunHost(
  argv: readonly [string, ...string[]],
  log: Log,
  options: Omit<HostProcessOptions, 'stdio'> & { input?: string; what: string },
): Promise<string> {
  const { what, ...rest } = options;
  const result = await runHost(argv, log, rest);
  if (result.status !== 0) {
    const words = result.stderr.trim() === '' ? `exit status ${result.status}` : result.stderr.trim();
    throw new TestbedError(`${what} failed: ${words} (${shellLine(argv)})`);
  }
  return result.stdout;
}

/** Everything a stream has to say, as text; an absent stream says nothing. */
export async function textOf(stream: Readable | null): Promise<string> {
  if (stream === null) return '';
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}

/** Ends a stream and resolves when that is done; an absent stream is done already. */
export function endStream(stream: Writable | null): Promise<void> {
  if (stream === null || stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    stream.once('close', () => resolve());
    stream.once('error', () => resolve());
    stream.end(() => resolve());
  });
}
