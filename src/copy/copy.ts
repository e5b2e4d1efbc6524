/** Files and trees between the host and a testbed. The rules and their reasons are in docs/copying.md. */
import { copyFileIn } from './file-in.ts';
import { copyFileOut } from './file-out.ts';
import { copyTreeIn } from './tree-in.ts';
import { copyTreeOut } from './tree-out.ts';
import type { CopyOptions, CopyTestbed } from './types.ts';

/** From the host into the testbed. What was copied before a failure stays there. @throws CopyError, CopyTimeoutError */
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
 * From the hostile testbed to the host. A tree appears only when all of it is checked. @throws CopyError, CopyTimeoutError
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
