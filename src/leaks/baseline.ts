/** What is read of a testbed right after it was made, so that its later state can be compared with it. */
import { readFileSync } from 'node:fs';
import { TestbedError } from '../errors.ts';

export interface Baseline {
  /** Text of /proc/PID/mountinfo, read as Latin-1. */
  readonly mounts: string;
  /** Text of /proc/PID/net/dev; undefined if the network is the host's. */
  readonly interfaces: string | undefined;
}

/**
 * @param pid pid 1 of the testbed
 * @throws TestbedError when it has ended
 */
export function readBaseline(pid: number, ownNetwork: boolean): Baseline {
  try {
    return {
      mounts: readFileSync(`/proc/${pid}/mountinfo`, 'latin1'),
      interfaces: ownNetwork ? readFileSync(`/proc/${pid}/net/dev`, 'latin1') : undefined,
    };
  } catch (cause) {
    throw new TestbedError('the testbed ended as soon as it was made', {
      code: 'TESTBED_ENDED',
      remedy: 'check that /bin/sh of its root filesystem can run on this machine',
      cause,
    });
  }
}
