/** `run --host`: a command isolated on the host, or without isolation where namespaces are not available. */
import { isatty } from 'node:tty';
import { messageOf, TestbedError } from '../errors.ts';
import { type Argv, spawnHost } from '../host.ts';
import { Isolation } from '../isolation/isolation.ts';
import { Watch } from '../isolation/remains.ts';
import { warnOfLeaks } from '../leaks/report.ts';
import { signalProcess, treeOf } from '../processes/list.ts';
import type { Interrupts, VerbContext } from './verb.ts';

interface IsolatedOptions {
  readonly root: boolean;
  readonly interactive: boolean;
  readonly requireIsolation: boolean;
  readonly failOnLeak: boolean;
  readonly env: Readonly<Record<string, string>>;
}

const STDIO = [0, 1, 2] as const;

export async function runIsolated(
  argv: Argv,
  options: IsolatedOptions,
  session: VerbContext,
): Promise<number> {
  const { log, signal } = session;
  let isolation: Isolation;
  try {
    const { root, interactive: foreground, env } = options;
    isolation = await Isolation.prepare(argv, { root, foreground, stdio: STDIO, env }, log);
  } catch (error) {
    if (options.requireIsolation || !(error instanceof TestbedError)) throw error;
    log.warn(`isolation and leak checks are off: ${messageOf(error)}`);
    return runPlain(argv, options.env, session);
  }
  const stop = () => void isolation.stop(log).catch(() => {});
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  passInterrupt(session.interrupts, () => treeOf(isolation.pid));
  let watch: Watch | undefined;
  try {
    watch = await Watch.start(isolation, log);
    const { status, ended } = await isolation.run(log);
    if (signal.aborted) return status;
    const leaks = [...ended, ...(await watch.remains())];
    warnOfLeaks(leaks, log);
    return status === 0 && options.failOnLeak && leaks.length > 0 ? 1 : status;
  } catch (error) {
    if (signal.aborted) return 130;
    throw error;
  } finally {
    watch?.close();
    await isolation.stop(log);
  }
}

async function runPlain(
  argv: Argv,
  env: Readonly<Record<string, string>>,
  { log, signal, interrupts }: VerbContext,
): Promise<number> {
  const started = await spawnHost(argv, log, { stdio: STDIO, env });
  const end = () => started.kill('SIGTERM');
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  passInterrupt(interrupts, () => treeOf(started.pid));
  return (await started.exited).status;
}

/** The first SIGINT is for the command: a terminal sends it there too, from another sender it is passed on. */
function passInterrupt(interrupts: Interrupts, command: () => number[]): void {
  interrupts.handler = () => {
    interrupts.handler = undefined;
    if (!STDIO.some((descriptor) => isatty(descriptor))) {
      for (const pid of command()) signalProcess(pid, 'SIGINT');
    }
    return true;
  };
}
