/**
 * Files and trees between the host and a testbed. A slash at the end of both paths means the content of a directory. The rules
 * and their reasons are in docs/copying.md.
 */
import { copyFileIn } from './file-in.ts';
import { copyFileOut } from './file-out.ts';
import { copyTreeIn } from './tree-in.ts';
import { copyTreeOut } from './tree-out.ts';
import type { CopyOptions, CopyTestbed } from './types.ts';

/**
 * From the host into the testbed. A file keeps its executable bit; a tree keeps modes, times, links, sparse files and
 * extended attributes, and belongs to root. A directory is created (not its parents) or merged into.
 * @throws CopyError with the reason; what was copied into the testbed until then stays there
 * @throws CopyTimeoutError when the time is up and both ends have ended
 */
export function copyIn(
  testbed: CopyTestbed,
  host: Buffer,
  inside: Buffer,
  options: CopyOptions,
): Promise<void> {
  return isDirectory(host)
    ? copyTreeIn(testbed, host, inside, options)
    : copyFileIn(testbed, host, inside, options);
}

/**
 * From the testbed to the host. What comes is hostile. Files belong to the caller. A tree appears at its destination only
 * when all of it has come and passed the checks.
 * @throws CopyError with the reason and the name of a refused entry
 * @throws CopyTimeoutError when the time is up and both ends have ended
 */
export function copyOut(
  testbed: CopyTestbed,
  inside: Buffer,
  host: Buffer,
  options: CopyOptions,
): Promise<void> {
  return isDirectory(inside)
    ? copyTreeOut(testbed, inside, host, options)
    : copyFileOut(testbed, inside, host, options);
}

function isDirectory(path: Buffer): boolean {
  return path.at(-1) === 0x2f;
}
