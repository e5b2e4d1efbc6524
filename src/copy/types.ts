/** What a copy needs to know, and how it reaches the testbed. */
import type { HostProcess, StdioList } from '../host.ts';
import type { Log } from '../log.ts';

/** The arguments of helper/copy.c: which way; out with the most bytes. */
export type MoverWay = readonly ['in'] | readonly ['out', string];

/** How the copying reaches a testbed. */
export interface CopyTestbed {
  /** Host pid of its pid 1. */
  readonly pid: number;
  /** Starts argv inside as root; stdio are our descriptors or 'pipe'. */
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
  /** Told about four times a second, and at the end, how much was copied so far. */
  readonly progress?: (bytes: number, files: number) => void;
  readonly log: Log;
  /** Aborting breaks the copy off as a failure does. */
  readonly signal?: AbortSignal;
}
