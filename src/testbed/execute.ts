import { closeSync, openSync, readlinkSync, realpathSync } from 'node:fs';
import { CommandTimeoutError, TestbedError, UsageError, VirtError } from '../errors.ts';
import { type HelperFailure, helperPath, helperWords } from '../helper.ts';
import { type Argv, type HostProcess, type StdioList, spawnHost } from '../host.ts';
import { type Log, shellLine } from '../log.ts';
import { option } from '../option-words.ts';
import { childrenOf, namespaceOf } from '../processes/list.ts';
import { callersOpenFiles } from '../processes/open-files.ts';
import { wholeTree } from './killing.ts';
import type { RunOptions, RunResult } from './types.ts';

/** What the execute program needs; see the head of helper/exec.c. */
export interface Target {
  readonly pid: number;
  readonly mark: string;
  /** Host pid. With it the words for a command are valid after a reboot too. */
  readonly holder?: number;
  readonly ownNetwork: boolean;
  readonly drainTimeout: number;
  /** Of a testbed with an init: cgroup.procs of the cgroup for commands. */
  readonly group?: string;
  readonly report?: { readonly path: string; failureOf?(pid: number): HelperFailure | undefined };
  /** The argument of -E: what ran is written there. */
  readonly journal?: string;
}

export interface CommandPlace {
  readonly cwd?: string;
  readonly user?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly keepTerm?: boolean;
  readonly third?: boolean;
  readonly foreground?: boolean;
  /** Soft limit of open files. */
  readonly files?: number | undefined;
  /** In the session of this process, so that its terminal sends the command's signals. */
  readonly attached?: boolean;
}

/** Codes of failures in the request, not in the testbed. */
const WRONG_REQUESTS = ['DIRECTORY_CLOSED', 'NO_DIRECTORY', 'NO_GROUP', 'NO_IDS', 'NO_USER'];

/** The helper does not know which front end the caller uses. */
function tooManyProcesses(): string {
  return `it has as many processes as it may have; end some, or give a larger ${option('max-processes')}`;
}

/** The execute program could not run a command and has written why to its stderr. */
export class NotRunError extends TestbedError {
  readonly #what: string;

  constructor(argv: Argv, failure: HelperFailure | undefined) {
    const why =
      failure?.code === 'PROCESS_LIMIT' ? tooManyProcesses() : (failure?.what ?? 'its stderr has the reason');
    const what = `cannot run ${shellLine(argv)} in the testbed: ${why}`;
    super(what, { code: failure?.code ?? 'NOT_RUN' });
    this.#what = what;
  }

  forCaller(): VirtError {
    if (!WRONG_REQUESTS.includes(this.code)) return this;
    return new UsageError(this.#what, { code: this.code, cause: this });
  }
}

export function executeCommand(target: Target, place: CommandPlace = {}): [string, ...string[]] {
  return helperWords(
    'exec',
    ...['-p', String(target.pid), '-m', target.mark],
    ...(target.holder === undefined ? [] : ['-h', String(target.holder)]),
    ...(target.group === undefined ? [] : ['-g', target.group]),
    ...(target.ownNetwork ? ['-n'] : []),
    ...['-d', String(target.drainTimeout)],
    ...(target.report === undefined ? [] : ['-l', target.report.path]),
    ...(target.journal === undefined ? [] : ['-E', target.journal]),
    ...(place.cwd === undefined ? [] : ['-c', place.cwd]),
    ...(place.user === undefined ? [] : ['-u', place.user]),
    ...Object.entries(place.env ?? {}).flatMap(([name, value]) => ['-e', `${name}=${value}`]),
    ...(place.keepTerm === true ? ['-T'] : []),
    ...(place.third === true ? ['-3'] : []),
    ...(place.foreground === true ? ['-f'] : []),
    ...(place.files === undefined ? [] : ['-N', String(place.files)]),
    '--',
  );
}

export interface StartedCommand extends HostProcess {
  failure(): HelperFailure | undefined;
  /** Whether a reboot from inside has ended the testbed's processes since it was started. */
  rebooted?(): Promise<boolean>;
}

/** Starts a command as root inside. Killing it ends its process tree. */
export async function startCommand(
  target: Target,
  argv: Argv,
  stdio: StdioList,
  log: Log,
  place: CommandPlace = {},
): Promise<StartedCommand> {
  const words = executeCommand(target, {
    ...place,
    third: stdio.length > 3,
    files: callersOpenFiles(),
  });
  const started = await spawnHost([...words, ...argv], log, { stdio, detached: place.attached !== true });
  return wholeTree({ ...started, failure: () => target.report?.failureOf?.(started.pid) }, log);
}

/** @throws CommandTimeoutError after its time or an abort, when its process tree is dead; NotRunError at status 255 */
export async function runCommand(
  target: Target,
  argv: Argv,
  options: RunOptions,
  log: Log,
): Promise<RunResult> {
  options.signal?.throwIfAborted();
  const nothing = options.stdin === undefined ? openSync('/dev/null', 'r') : undefined;
  let started: StartedCommand;
  try {
    const stdin = options.stdin ?? nothing ?? 'ignore';
    const stdio: StdioList = [stdin, options.stdout ?? 2, options.stderr ?? 2];
    started = await startCommand(target, argv, stdio, log, options);
  } finally {
    if (nothing !== undefined) closeSync(nothing);
  }
  options.onStart?.(started);
  return endOfCommand(started, argv, options);
}

/** Waits for the end of a started command, or ends it when its time is over or it was aborted. @throws as runCommand */
export async function endOfCommand(
  started: StartedCommand,
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
      throw new CommandTimeoutError(`${shellLine(argv)} ${why} and was killed with all its processes`);
    }
    if (status === 255) throw await whyNotRun(argv, started);
    return { status };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', end);
  }
}

async function whyNotRun(argv: Argv, started: StartedCommand): Promise<VirtError> {
  const failure = started.failure();
  if (failure?.code !== 'CLOSED' || (await started.rebooted?.()) !== true)
    return new NotRunError(argv, failure);
  return new VirtError(`${shellLine(argv)} was ended by a reboot of the testbed`, {
    code: 'REBOOTED',
    remedy: 'the testbed is open again and takes the next command',
  });
}

/** Whether the command itself runs. False while the execute program prepares it, and when it is gone. */
export function isExecuting(started: HostProcess): boolean {
  const pid = pidInside(started);
  if (pid === undefined) return false;
  try {
    // Cannot be read before, except by real root.
    const program = readlinkSync(`/proc/${pid}/exe`);
    return program !== realpathSync(helperPath()) && !program.startsWith('/memfd:');
  } catch {
    return false;
  }
}

/** The first process of the execute program that is inside; undefined when it is gone. */
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
