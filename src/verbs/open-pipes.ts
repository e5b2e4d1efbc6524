import { fchmodSync, readlinkSync } from 'node:fs';

/** Lets users of the testbed open /dev/stdout and the like where these are unnamed pipes, which other users cannot find. */
export function openPipes(): void {
  for (const descriptor of [0, 1, 2]) {
    try {
      if (readlinkSync(`/proc/self/fd/${descriptor}`).startsWith('pipe:')) fchmodSync(descriptor, 0o666);
    } catch {
      // It belongs to another user, or is closed. The open descriptor still works.
    }
  }
}
