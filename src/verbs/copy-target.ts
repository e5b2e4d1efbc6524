/** A testbed that another process of this user has opened, as far as copies need it. */
import type { CopyTestbed } from '../copy/types.ts';
import { UsageError } from '../errors.ts';
import { helperWords } from '../helper.ts';
import { spawnHost } from '../host.ts';
import type { Log } from '../log.ts';
import { readMark } from '../namespaces/mark.ts';
import { isAlive } from '../processes/identity.ts';
import type { Registered } from '../processes/open-testbeds.ts';
import { pidInside, startCommand } from '../testbed/execute.ts';
import { killable } from '../testbed/killing.ts';

/** Seconds. */
const DRAIN_TIMEOUT = 10;

export function copyTestbed(testbed: Registered, log: Log): CopyTestbed {
  const { pid, ownNetwork, holder, report, name, group } = testbed;
  if (holder === undefined) {
    throw new UsageError(`the testbed ${name} was opened by an older version of this program`, {
      code: 'NO_HOLDER',
      remedy: 'open it again',
    });
  }
  const target = {
    ...{ pid, mark: readMark(testbed), ownNetwork, drainTimeout: DRAIN_TIMEOUT },
    ...(report === undefined ? {} : { report: { path: report } }),
    ...(group === undefined ? {} : { group }),
  };
  return {
    pid,
    start: (argv, stdio) => startCommand(target, argv, stdio, log),
    startMover: async (way, stdio) => {
      const words = helperWords('copy', '-u', String(holder), ...way);
      const started = await spawnHost(words, log, { stdio, detached: true });
      return killable(started, () => (isAlive(testbed) ? pid : undefined), log);
    },
    pidInside,
  };
}
