/** A command of the library's user: what it reads, where its output goes, and how it ended. Types only. */
import type { Readable, Writable } from 'node:stream';

/** A program with its arguments; or a text, which the testbed's `sh -c` runs. */
export type Command = readonly [string, ...string[]] | string;

/**
 * Where an output of a command goes. `text` (as UTF-8) and `bytes`: captured, and part of the result. `inherit`: where ours
 * goes. `ignore`: nowhere. A stream is written to, and left open.
 */
export type OutputTo = 'text' | 'bytes' | 'inherit' | 'ignore' | Writable;

export interface CommandOptions {
  /** Absolute path in the testbed. Default: /. */
  readonly cwd?: string;
  /** Added to the testbed's own, clean environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Name or number of a user in the testbed. Default: root. */
  readonly user?: string;
  /** Seconds; then the command is ended with all its processes. Default: no limit. */
  readonly timeout?: number;
  /** Aborting ends the command with all its processes. */
  readonly signal?: AbortSignal;
}

export interface RunOptions extends CommandOptions {
  /** What the command reads. Not with `stdin`. */
  readonly input?: string | Uint8Array;
  /** `inherit`: what we read. A stream is read to its end. Default: `ignore`, which is at its end at once. */
  readonly stdin?: 'ignore' | 'inherit' | Readable;
  /** Default: `text`. */
  readonly stdout?: OutputTo;
  /** Default: `text`. */
  readonly stderr?: OutputTo;
  /** Bytes of each output that are captured at most; a command that writes more is ended. Default: 64 MiB. */
  readonly maxOutput?: number;
  /** Reject with a CommandFailedError when the status is not 0. Default: false. */
  readonly check?: boolean;
}

/** What was captured of an output that went to `T`. */
export type Captured<T> = T extends 'bytes'
  ? Buffer
  : T extends 'inherit' | 'ignore' | Writable
    ? undefined
    : string;

/** How a command with options `O` ended, its output whole. */
export interface RunResult<O = unknown> {
  /** 0…253 as the command ended (its own 254 and 255 are told as 253), 128 + n for death by signal n. */
  readonly status: number;
  readonly stdout: O extends { readonly stdout: infer T } ? Captured<T> : string;
  readonly stderr: O extends { readonly stderr: infer T } ? Captured<T> : string;
}

/** A command that runs, with pipes to and from it. Read both outputs, or the command may wait for you. */
export interface RunningCommand {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /**
   * Settles when the command has ended.
   * @throws CommandTimeoutError when its time was over or it was aborted, and its processes are dead
   * @throws TestbedError when the testbed is broken
   */
  readonly ended: Promise<{ readonly status: number }>;
  /** Ends the command with all its processes at once; `ended` then has status 137. */
  kill(): void;
}
