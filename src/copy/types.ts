/** The options of a copy, and how it reaches the testbed. */
import type { HostProcess, StdioList } from '../host.ts';
import type { Log } from '../log.ts';

/** The arguments of helper/copy.c: which way; out with the most bytes. */
export type MoverWay = readonly ['in'] | readonly ['out', string];

/** How the copying reaches a testbed. */
export interface CopyTestbed {
  /** Host pid of its pid 1. */
  readonly pid: number;
  /** Starts argv inside as root. */
  start(argv: readonly [string, ...string[]], stdio: StdioList): Promise<HostProcess>;
  /**
   * Starts helper/copy.c in the testbed's user namespace alone: it has the rights that root inside has, and no process inside
   * sees it.
   */
  startMover(way: MoverWay, stdio: StdioList): Promise<HostProcess>;
  /** Host pid of the command itself that was started inside; undefined when it is gone. */
  pidInside(started: HostProcess): number | undefined;
}

export interface CopyOptions {
  /** Seconds; default 300. */
  readonly timeout?: number;
  /** Most bytes of content that one copy from the testbed may have. Default 64 GiB. */
  readonly maxBytes?: number;
  /** Most files, directories and links that one copy from the testbed may have. Default one million. */
  readonly maxEntries?: number;
  /** Called four times a second, and at the end, with what was copied so far. */
  readonly progress?: (bytes: number, files: number) => void;
  readonly log: Log;
  /** Aborting ends the copy as a failure does. */
  readonly signal?: AbortSignal;
}
