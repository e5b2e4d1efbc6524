import { isatty } from 'node:tty';
import { type Argv, spawnHost } from '../host.ts';
import { readMark } from '../namespaces/mark.ts';
import type { ProcessName } from '../processes/identity.ts';
import { callersOpenFiles } from '../processes/open-files.ts';
import { type CommandPlace, executeCommand, type Target } from '../testbed/execute.ts';
import { wholeTree } from '../testbed/killing.ts';
import { passInterrupt, SHELL } from './follow.ts';
import { openPipes } from './open-pipes.ts';
import type { VerbContext } from './verb.ts';

/** Seconds. */
const DRAIN_TIMEOUT = 10;

/** Runs it on this process's stdin, stdout and stderr. An abort ends its process tree. @param command default: a shell */
export async function enterTestbed(
  testbed: ProcessName & Pick<Target, 'ownNetwork' | 'group'> & { readonly report?: string },
  place: CommandPlace,
  command: Argv | undefined,
  { log, signal, interrupts }: VerbContext,
): Promise<number> {
  const { pid, ownNetwork, group } = testbed;
  const report = testbed.report === undefined ? {} : { report: { path: testbed.report } };
  const execute = executeCommand(
    {
      pid,
      mark: readMark(testbed),
      ownNetwork,
      drainTimeout: DRAIN_TIMEOUT,
      ...report,
      ...(group === undefined ? {} : { group }),
    },
    { ...place, keepTerm: isatty(0), files: callersOpenFiles() },
  );
  openPipes();
  const started = wholeTree(
    await spawnHost([...execute, ...(command ?? SHELL)], log, { stdio: [0, 1, 2] }),
    log,
  );
  passInterrupt(interrupts, started);
  const end = () => started.kill('SIGKILL');
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  return (await started.exited).status;
}
