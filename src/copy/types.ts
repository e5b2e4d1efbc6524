import type { HostProcess, StdioList } from '../host.ts';
import type { Log } from '../log.ts';

/** The arguments of helper/copy.c: which way; out with the most bytes. */
export type MoverWay = readonly ['in'] | readonly ['out', string];

export interface CopyTestbed {
  readonly pid: number;
  start(argv: readonly [string, ...string[]], stdio: StdioList): Promise<HostProcess>;
  /** Starts helper/copy.c in the testbed's user namespace alone, invisible to processes inside. */
  startMover(way: MoverWay, stdio: StdioList): Promise<HostProcess>;
  pidInside(started: HostProcess): number | undefined;
}

export interface CopyOptions {
  readonly timeout?: number;
  /** Default: 64 GiB. */
  readonly maxBytes?: number;
  /** Default: one million. */
  readonly maxEntries?: number;
  /** Called four times a second, and at the end. */
  readonly progress?: (bytes: number, files: number) => void;
  readonly log: Log;
  readonly signal?: AbortSignal;
}
