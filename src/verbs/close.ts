/** `close`: ends testbeds that run or shell opened, and removes what is kept of detached ones. */
import { rmSync } from 'node:fs';
import { TestbedError, UsageError } from '../errors.ts';
import { survived } from '../namespaces/failures.ts';
import { findDetached } from '../processes/detached.ts';
import { isAlive, type ProcessName } from '../processes/identity.ts';
import { describeProcess, membersOf, namespaceOf, signalProcess } from '../processes/list.ts';
import { type Registered, registered } from '../processes/open-testbeds.ts';
import { waitUntil } from '../wait.ts';
import { choose } from './exec.ts';
import type { RunVerb } from './verb.ts';

/** Milliseconds. */
const CLOSE_LIMIT = 60_000;
const REST_LIMIT = 5_000;

export const close: RunVerb = async (words, signal) => {
  if (words.operands.length === 0) {
    throw new UsageError('close needs the name or pid of a testbed', {
      code: 'MISSING_WORD',
      remedy: 'virt-ts-unshare ps lists the open ones',
    });
  }
  const open = registered(process.env);
  const chosen = words.operands.map((name) => {
    const kept = findDetached(name, process.env);
    const isOpen = open.some((each) => each.name === name);
    return { kept, testbed: kept.length > 0 && !isOpen ? undefined : closable(choose(name, open)) };
  });
  // One that does not end must not keep the others open.
  const ends = await Promise.allSettled(
    chosen.map(async ({ testbed, kept }) => {
      if (testbed !== undefined) await end(testbed, signal);
      for (const { folder, alive } of kept)
        if (!alive || testbed !== undefined) rmSync(folder, { recursive: true, force: true });
    }),
  );
  for (const one of ends) if (one.status === 'rejected') throw one.reason;
  return 0;
};

interface Closable extends Registered {
  readonly opener: ProcessName;
}

/** Else the process that opened it would fail, such as a driver. */
function closable(testbed: Registered): Closable {
  const { opener, name, owner } = testbed;
  if (opener !== undefined) return { ...testbed, opener };
  throw new UsageError(
    `the testbed ${name} was opened by a driver, a library or a laboratory (process ${owner})`,
    {
      code: 'NOT_CLOSABLE',
      remedy: 'end that process; a laboratory is ended by virt-ts-unshare lab down',
    },
  );
}

async function end({ name, opener, ...testbed }: Closable, signal: AbortSignal): Promise<void> {
  signalProcess(opener, 'SIGTERM');
  // It may be stopped, as by Ctrl-Z.
  signalProcess(opener, 'SIGCONT');
  const hasEnded = (process: ProcessName, limit: number) =>
    waitUntil(() => signal.aborted || !isAlive(process), limit);
  const isClosed = await hasEnded(opener, CLOSE_LIMIT);
  // Where the opener was killed, the processes inside end after it.
  const isGone = isClosed && (await hasEnded(testbed, REST_LIMIT));
  signal.throwIfAborted();
  if (isGone) return;
  if (isClosed) {
    const left = membersOf('pid', namespaceOf(testbed.pid, 'pid') ?? '');
    throw survived(`the testbed ${name} does not end, still running in it`, left.map(describeProcess));
  }
  throw new TestbedError(`the testbed ${name} did not end within ${CLOSE_LIMIT / 1000} s`, {
    code: 'LEFT_OVER',
    remedy: `kill the process ${opener.pid}`,
  });
}
