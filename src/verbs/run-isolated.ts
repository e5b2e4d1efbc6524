/** `run --host`: the command isolated where the machine can, and without where it cannot. */
import { isatty } from 'node:tty';
import { messageOf, TestbedError } from '../errors.ts';
import { type Argv, spawnHost } from '../host.ts';
import { Isolation } from '../isolation/isolation.ts';
import { Watch } from '../isolation/remains.ts';
import { warnOfLeaks } from '../leaks/report.ts';
import type { Log } from '../log.ts';
import { signalProcess, treeOf } from '../processes/list.ts';
import type { Interrupts } from './verb.ts';

export interface IsolatedOptions {
  readonly root: boolean;
  /** An interactive shell on the terminal that is our stdin. */
  readonly interactive: boolean;
  readonly requireIsolation: boolean;
  readonly failOnLeak: boolean;
  readonly env: Readonly<Record<string, string>>;
}

export interface Session {
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly interrupts: Interrupts;
}

const OURS = [0, 1, 2] as const;

/** Gives the command's exit status. */
export async function runIsolated(argv: Argv, options: IsolatedOptions, session: Session): Promise<number> {
  const { log, signal } = session;
  let isolation: Isolation;
  try {
    const { root, interactive: foreground, env } = options;
    isolation = await Isolation.prepare(argv, { root, foreground, stdio: OURS, env }, log);
  } catch (error) {
    if (options.requireIsolation || !(error instanceof TestbedError)) throw error;
    log.warn(`isolation and leak checks are off: ${messageOf(error)}`);
    return runPlain(argv, options.env, session);
  }
  // That it cannot be done is told below.
  const stop = () => void isolation.stop(log).catch(() => {});
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  passInterrupt(session.interrupts, () => treeOf(isolation.pid));
  const watch = await Watch.start(isolation, log);
  try {
    const { status, ended } = await isolation.run(log);
    if (signal.aborted) return status;
    const leaks = [...ended, ...(await watch.remains())];
    warnOfLeaks(leaks, log);
    return status === 0 && options.failOnLeak && leaks.length > 0 ? 1 : status;
  } finally {
    watch.close();
    await isolation.stop(log);
  }
}

async function runPlain(
  argv: Argv,
  env: Readonly<Record<string, string>>,
  { log, signal, interrupts }: Session,
): Promise<number> {
  const started = await spawnHost(argv, log, { stdio: OURS, env });
  const end = () => started.kill('SIGTERM');
  signal.addEventListener('abort', end, { once: true });
  passInterrupt(interrupts, () => treeOf(started.pid));
  return (await started.exited).status;
}

/**
 * The first SIGINT is for the command to answer, and we go on: a terminal sends it to both of us, anybody else to us
 * alone. The second one is ours.
 */
function passInterrupt(interrupts: Interrupts, command: () => number[]): void {
  interrupts.handler = () => {
    interrupts.handler = undefined;
    if (!OURS.some((descriptor) => isatty(descriptor))) {
      for (const pid of command()) signalProcess(pid, 'SIGINT');
    }
    return true;
  };
}
