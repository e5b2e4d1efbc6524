/** Our own pipes, made fit for a command that runs as somebody else. */
import { fchmodSync, readlinkSync } from 'node:fs';

/**
 * Lets the testbed's users, who are not the caller, open /dev/stdin, /dev/stdout and /dev/stderr where these are pipes without
 * a name. That opens them to nobody else: only whoever may look at our descriptors finds them.
 */
export function openPipes(): void {
  for (const descriptor of [0, 1, 2]) {
    try {
      if (readlinkSync(`/proc/self/fd/${descriptor}`).startsWith('pipe:')) fchmodSync(descriptor, 0o666);
    } catch {
      // It is another user's, or closed; what is open already works all the same.
    }
  }
}
