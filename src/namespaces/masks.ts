/** Whether parts of this machine's /proc are covered, as container managers do. */
import { readFileSync } from 'node:fs';

export function isProcMasked(): boolean {
  try {
    return hasMasks(readFileSync('/proc/self/mountinfo', 'latin1'));
  } catch {
    return false;
  }
}

/**
 * Then the kernel refuses another /proc in a user namespace (mount_too_revealing() in fs/namespace.c). A mount on an empty
 * directory, which that of binfmt_misc is, covers nothing.
 * @param mountinfo as in proc(5)
 */
function hasMasks(mountinfo: string): boolean {
  return mountinfo.split('\n').some((line) => {
    const point = line.split(' ')[4] ?? '';
    return point.startsWith('/proc/') && point !== '/proc/sys/fs/binfmt_misc';
  });
}
