/** What is written down of a testbed right after it was made, so that what is there later can be compared with it. */
import { readFileSync } from 'node:fs';
import { TestbedError } from '../errors.ts';

export interface Baseline {
  /** The text of /proc/PID/mountinfo, its bytes as characters. */
  readonly mounts: string;
  /** The text of /proc/PID/net/dev; undefined where the network is the host's. */
  readonly interfaces: string | undefined;
}

/**
 * @param pid pid 1 of the testbed
 * @throws TestbedError when it has died already
 */
export function readBaseline(pid: number, ownNetwork: boolean): Baseline {
  try {
    return {
      mounts: readFileSync(`/proc/${pid}/mountinfo`, 'latin1'),
      interfaces: ownNetwork ? readFileSync(`/proc/${pid}/net/dev`, 'latin1') : undefined,
    };
  } catch (cause) {
    throw new TestbedError(
      'the testbed died as soon as it was made; look whether /bin/sh of its root filesystem can run on this machine',
      { cause },
    );
  }
}
