/** How much memory the cgroup of this process may use (cgroups(7), version 2). tmpfs counts in it. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ownCgroup } from './cgroups.ts';

/** Gives the content of a file; throws where it cannot be read. */
type Read = (path: string) => string;

/** The least limit of it and of those above it, in bytes; undefined where there is none. */
export function memoryLimit(read: Read = (path) => readFileSync(path, 'latin1')): number | undefined {
  const place = placeFrom(read);
  if (place === undefined) return undefined;
  let least = Number.POSITIVE_INFINITY;
  for (let folder = place.folder; ; folder = dirname(folder)) {
    // Above memory.high the kernel slows processes down until they make no progress.
    for (const name of ['memory.max', 'memory.high'])
      least = Math.min(least, limitIn(join(folder, name), read));
    if (folder === place.top || folder === '/') break;
  }
  return Number.isFinite(least) ? least : undefined;
}

function placeFrom(read: Read): ReturnType<typeof ownCgroup> {
  try {
    return ownCgroup({ mounts: read('/proc/self/mountinfo'), own: read('/proc/self/cgroup') });
  } catch {
    return undefined;
  }
}

/** The top of the machine and cgroups without the controller do not have the file; "max" is none. */
function limitIn(path: string, read: Read): number {
  try {
    const text = read(path).trim();
    return /^\d+$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
