/** Commands in a testbed: the words of the execute command, and running one to its end from here. */
import { closeSync, openSync } from 'node:fs';
import { CommandTimeoutError, TestbedError, UsageError, type VirtError } from '../errors.ts';
import { type Argv, type HostProcess, type StdioList, spawnHost } from '../host.ts';
import { type Log, shellLine } from '../log.ts';
import { childrenOf, hasOwnUser, namespaceOf } from '../processes/list.ts';
import { compiledProgram, scriptPath } from '../scripts.ts';
import { wholeTree } from './killing.ts';
import type { RunOptions, RunResult } from './types.ts';

/** What on-host/execute.sh has to know about the testbed; see the head of that file. */
export interface Target {
  readonly pid: number;
  /** See namespaces/mark.ts. */
  readonly mark: string;
  readonly ownNetwork: boolean;
  /** Seconds that a stuck drainer is waited for. */
  readonly drainTimeout: number;
  /** Host file for one line per ended leak, if wanted; see DrainLog. */
  readonly leakLog?: string;
}

export interface CommandPlace {
  readonly cwd?: string;
  readonly user?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly keepTerm?: boolean;
  /** Whether the command gets descriptor 3 as well. Default: the first three only. */
  readonly third?: boolean;
}

/**
 * execute.sh could not run a command, and has said why on the command's stderr: the testbed is dead, or it has no such
 * directory or user, or no shell that works.
 */
export class NotRunError extends TestbedError {
  readonly #what: string;

  constructor(argv: Argv) {
    const what = `cannot run ${shellLine(argv)} in the testbed`;
    super(`${what}, for a reason that its stderr tells`);
    this.#what = what;
  }

  /** The same with the reason, for who has read the command's stderr. */
  told(stderr: string): VirtError {
    const [, why] = /^virt-ts-unshare: cannot run a command in the testbed: (.*)$/m.exec(stderr) ?? [];
    if (why === undefined) return this;
    const Kind = /^it has no (directory|user|ids) |^its root may not enter /.test(why)
      ? UsageError
      : TestbedError;
    return new Kind(`${this.#what}: ${why}`, { cause: this });
  }
}

/** The words to put before a command's own. */
export function executeCommand(target: Target, place: CommandPlace = {}): [string, ...string[]] {
  // Root of a testbed that is the caller could open the program by /proc/self/exe, to write.
  const enter = hasOwnUser(target.pid) ? undefined : compiledProgram('enter');
  return [
    '/bin/sh',
    scriptPath('on-host', 'execute.sh'),
    ...(enter === undefined ? [] : ['-E', enter]),
    ...['-p', String(target.pid), '-m', target.mark],
    ...(target.ownNetwork ? ['-n'] : []),
    ...['-d', String(target.drainTimeout)],
    ...(target.leakLog === undefined ? [] : ['-l', target.leakLog]),
    ...(place.cwd === undefined ? [] : ['-c', place.cwd]),
    ...(place.user === undefined ? [] : ['-u', place.user]),
    ...Object.entries(place.env ?? {}).flatMap(([name, value]) => ['-e', `${name}=${value}`]),
    ...(place.keepTerm === true ? ['-T'] : []),
    ...(place.third === true ? ['-3'] : []),
    '--',
  ];
}

/** Starts a command as root inside, with up to four descriptors, in a session of its own so that its tree can be found. */
export function startCommand(
  target: Target,
  argv: Argv,
  stdio: StdioList,
  log: Log,
  place: CommandPlace = {},
): Promise<HostProcess> {
  const words = executeCommand(target, { ...place, third: stdio.length > 3 });
  return spawnHost([...words, ...argv], log, { stdio, detached: true });
}

/**
 * Runs a command to its end.
 * @throws CommandTimeoutError when its time is over or it was aborted, and its process tree is dead
 * @throws NotRunError when execute.sh says 255: it maps a command's own 255 to 253
 */
export async function runCommand(
  target: Target,
  argv: Argv,
  options: RunOptions,
  log: Log,
): Promise<RunResult> {
  options.signal?.throwIfAborted();
  const nothing = options.stdin === undefined ? openSync('/dev/null', 'r') : undefined;
  let started: HostProcess;
  try {
    const stdin = options.stdin ?? nothing ?? 'ignore';
    const stdio: StdioList = [stdin, options.stdout ?? 2, options.stderr ?? 2];
    started = wholeTree(await startCommand(target, argv, stdio, log, options), log);
  } finally {
    if (nothing !== undefined) closeSync(nothing);
  }
  return endOfCommand(started, argv, options);
}

/**
 * The end of a command that was started, brought about when its time is over or it was aborted.
 * @param started as of wholeTree
 * @throws as runCommand
 */
export async function endOfCommand(
  started: HostProcess,
  argv: Argv,
  options: Pick<RunOptions, 'timeout' | 'signal'>,
): Promise<RunResult> {
  let isEnded = false;
  const end = () => {
    isEnded = true;
    started.kill('SIGKILL');
  };
  if (options.signal?.aborted === true) end();
  const timer = options.timeout === undefined ? undefined : setTimeout(end, options.timeout * 1000);
  options.signal?.addEventListener('abort', end, { once: true });
  try {
    const { status } = await started.exited;
    if (isEnded) {
      const why = options.signal?.aborted === true ? 'was aborted' : `took longer than ${options.timeout} s`;
      throw new CommandTimeoutError(`${shellLine(argv)} ${why}; its processes were ended`);
    }
    if (status === 255) throw new NotRunError(argv);
    return { status };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', end);
  }
}

/** Host pid of the command itself that an execute program has started: the first that is inside. Undefined when it is gone. */
export function pidInside(root: HostProcess): number | undefined {
  const outside = namespaceOf(process.pid, 'pid');
  for (let generation = [root.pid]; generation.length > 0; generation = generation.flatMap(childrenOf)) {
    const inside = generation.find((pid) => {
      const namespace = namespaceOf(pid, 'pid');
      return namespace !== undefined && namespace !== outside;
    });
    if (inside !== undefined) return inside;
  }
  return undefined;
}
