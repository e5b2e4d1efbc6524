/** Runs the installed autopkgtest with this server, as a user would. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { projectDir, testTarball } from './rootfs.ts';

export interface DriverOptions {
  /** Before the `--`: options of autopkgtest, and what to test. */
  readonly args: readonly string[];
  /** After the server's name. Default: `--tarball` of the image with build-essential. */
  readonly serverArgs?: readonly string[];
  /** Default: this one. */
  readonly server?: string;
  readonly cwd?: string;
  /** Added to the environment of the tests. */
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds until the driver is ended by SIGTERM, and the run fails. Default: 150 s. */
  readonly timeout?: number;
}

export interface DriverRun {
  /** Exit status; null when a signal ended the driver. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What the driver printed, stdout and stderr as they came. */
  readonly log: string;
  /** The folder that `--output-dir` named. */
  readonly outputDir: string;
  /** For each test its line of the summary. */
  readonly summary: Readonly<Record<string, string>>;
}

const scratch: string[] = [];

/** A folder that is removed by `removeScratch`. */
export function scratchDir(): string {
  const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-driver-'));
  scratch.push(folder);
  return folder;
}

/** To be called by the `after` hook of a test file. */
export function removeScratch(): void {
  for (const folder of scratch.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** The command line, from `autopkgtest` on, and the folder that its results go to. */
export function driverCommand(options: DriverOptions): { argv: [string, ...string[]]; outputDir: string } {
  const outputDir = join(scratchDir(), 'output');
  const serverArgs = options.serverArgs ?? ['--tarball', testTarball('build')];
  // Another backend's name here shows what it makes of the same tests: unshare, or schroot with serverArgs to match.
  const server = options.server ?? process.env.VIRT_TS_UNSHARE_TEST_SERVER ?? 'ts-unshare';
  return {
    argv: ['autopkgtest', `--output-dir=${outputDir}`, ...options.args, '--', server, ...serverArgs],
    outputDir,
  };
}

/** The environment with the server on PATH, and a variable that no test may see. */
export function driverEnv(env: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PATH: `${projectDir}bin:${process.env.PATH}`,
    VIRT_TS_UNSHARE_HOST_SECRET: 'of the host',
    ...env,
  };
}

/** Lines `NAME  RESULT` of a summary; lines of several words before the result (blame: …) are not results. */
export function parseSummary(text: string): Record<string, string> {
  const results: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const match = /^(\S+)\s+((?:PASS|FAIL|SKIP|FLAKY)\b.*)$/.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined) results[match[1]] = match[2].trimEnd();
  }
  return results;
}

export interface StartedDriver {
  readonly pid: number;
  /** The end of the run. Rejects when the driver had to be ended for its time. */
  readonly ended: Promise<DriverRun>;
}

/** Starts the driver, in a process group of its own. */
export function startAutopkgtest(options: DriverOptions): StartedDriver {
  const { argv, outputDir } = driverCommand(options);
  const [file, ...args] = argv;
  // A file, not a pipe: the driver opens its /dev/stderr again, which fails on the socket that Node's pipes are.
  const logFile = join(dirname(outputDir), 'driver.log');
  const logFd = openSync(logFile, 'a');
  const child = spawn(file, args, {
    cwd: options.cwd ?? projectDir,
    env: driverEnv(options.env),
    stdio: ['ignore', logFd, logFd],
    detached: true,
  });
  closeSync(logFd);
  const { pid } = child;
  if (pid === undefined) throw new Error('autopkgtest did not start; run scripts/prepare --test');
  return { pid, ended: endOf(child, outputDir, logFile, options.timeout ?? 150_000) };
}

async function endOf(
  child: ChildProcess,
  outputDir: string,
  logFile: string,
  timeout: number,
): Promise<DriverRun> {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), 10_000).unref();
  }, timeout);
  const { status, signal } = await new Promise<Pick<DriverRun, 'status' | 'signal'>>((resolve) => {
    child.once('exit', (code, killer) => resolve({ status: code, signal: killer }));
  });
  clearTimeout(timer);
  const log = readFileSync(logFile, 'utf8');
  if (late) throw new Error(`autopkgtest did not end; it had printed:\n${log}`);
  const summaryFile = join(outputDir, 'summary');
  const summary = existsSync(summaryFile) ? parseSummary(readFileSync(summaryFile, 'utf8')) : {};
  return { status, signal, log, outputDir, summary };
}

/** Runs the driver to its end. Rejects when it has to be ended for its time. */
export function autopkgtest(options: DriverOptions): Promise<DriverRun> {
  return startAutopkgtest(options).ended;
}
