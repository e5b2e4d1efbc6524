/**
 * Files and trees between the host and a testbed. A slash at the end of both paths means the content of a directory.
 * What the rules are and why: docs/copying.md.
 */
import type { HostProcess, StdioList } from '../host.ts';
import type { Log } from '../log.ts';
import { copyFileIn } from './file-in.ts';
import { copyFileOut } from './file-out.ts';
import { copyTreeIn } from './tree-in.ts';
import { copyTreeOut } from './tree-out.ts';

/** How the copying reaches a testbed. */
export interface CopyTestbed {
  /** Starts argv inside as root; stdio are our descriptors or 'pipe'. */
  start(argv: readonly [string, ...string[]], stdio: StdioList): Promise<HostProcess>;
}

export interface CopyOptions {
  /** Seconds; default 300. */
  readonly timeout?: number;
  /** Most bytes of content that one copy from the testbed may have. Default 64 GiB. */
  readonly maxBytes?: number;
  /** Most files, directories and links that one copy from the testbed may have. Default one million. */
  readonly maxEntries?: number;
  /** Told about four times a second, and at the end, how much was copied so far. */
  readonly progress?: (bytes: number, files: number) => void;
  readonly log: Log;
  /** Aborting breaks the copy off as a failure does. */
  readonly signal?: AbortSignal;
}

/**
 * From the host into the testbed. A file keeps its executable bit; a tree keeps modes, times, links, sparse files and
 * extended attributes, and belongs to root. A directory is created (not its parents) or merged into.
 * @throws CopyError with the reason; what had arrived in the testbed stays there
 * @throws CopyTimeoutError when the time is up and both ends are dead
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
 * From the testbed to the host; what comes is hostile. Files belong to the caller. A tree appears at its destination
 * only when all of it has arrived and passed the checks.
 * @throws CopyError with the reason and the name of a refused entry
 * @throws CopyTimeoutError when the time is up and both ends are dead
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
