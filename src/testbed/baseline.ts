/** What is written down of a testbed right after it was made, so that what is there later can be compared with it. */
import { readFileSync } from 'node:fs';

export interface Baseline {
  /** The text of /proc/PID/mountinfo, its bytes as characters. */
  readonly mounts: string;
  /** The text of /proc/PID/net/dev; undefined where the network is the host's. */
  readonly interfaces: string | undefined;
}

/** @param pid pid 1 of the testbed */
export function readBaseline(pid: number, ownNetwork: boolean): Baseline {
  return {
    mounts: readFileSync(`/proc/${pid}/mountinfo`, 'latin1'),
    interfaces: ownNetwork ? readFileSync(`/proc/${pid}/net/dev`, 'latin1') : undefined,
  };
}
