/** The state of a testbed right after it was made. */
import { readFileSync } from 'node:fs';
import { TestbedError } from '../errors.ts';
import type { Leak } from './leak.ts';

export interface Baseline {
  readonly mounts: string;
  readonly interfaces: string | undefined;
  /** What an init had started and written when it had booted. Undefined without one. */
  readonly booted?: readonly Leak[];
}

/** @throws TestbedError when pid 1 has ended */
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
