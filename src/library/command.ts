import type { Readable, Writable } from 'node:stream';

/** A program with its arguments, or a text for `sh -c` of the testbed. */
export type Command = readonly [string, ...string[]] | string;

/**
 * `text` (as UTF-8) and `bytes`: captured, and part of the result. `inherit`: to the output of this process. `ignore`:
 * discarded. A stream is written to, and stays open.
 */
export type OutputTo = 'text' | 'bytes' | 'inherit' | 'ignore' | Writable;

/** How a command is started. All may be omitted. */
export interface CommandOptions {
  /** Absolute path in the testbed. Default: /. */
  readonly cwd?: string;
  /**
   * Variables that are added to the clean environment of the testbed, which is HOME, PATH and what /etc/environment has. Nothing of
   * the environment of this process is passed on.
   */
  readonly env?: Readonly<Record<string, string>>;
  /** Name or number of a user in the testbed. Default: root. */
  readonly user?: string;
  /**
   * Seconds, after which the command is ended with all its processes; `run` also waits no longer for the end of its output, which
   * a process of another command may hold. Default: no limit.
   */
  readonly timeout?: number;
  /** Aborting ends the command with all its processes. */
  readonly signal?: AbortSignal;
}

/** How a command is run to its end. All may be omitted. */
export interface RunOptions extends CommandOptions {
  /** What the command reads from stdin; a text as UTF-8. Not with `stdin`. */
  readonly input?: string | Uint8Array;
  /** `inherit`: the stdin of this process. A stream is read to its end. Default: `ignore`, an empty stdin. */
  readonly stdin?: 'ignore' | 'inherit' | Readable;
  /** Where stdout goes. Default: `text`, captured. */
  readonly stdout?: OutputTo;
  /** Where stderr goes. Default: `text`, captured. */
  readonly stderr?: OutputTo;
  /** The most bytes of each output to capture; a command that writes more is ended. Default: 64 MiB. */
  readonly maxOutput?: number;
  /** Reject with a {@link CommandFailedError} when the status is not 0. Default: false. */
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
  /** 0 to 253 as the command ended (254 and 255 become 253), 128 + n for death by signal n. */
  readonly status: number;
  /** All that it wrote to stdout: a string, a Buffer with `stdout: 'bytes'`, undefined where nothing was captured. */
  readonly stdout: O extends { readonly stdout: infer T } ? Captured<T> : string;
  /** All that it wrote to stderr, as for `stdout`. */
  readonly stderr: O extends { readonly stderr: infer T } ? Captured<T> : string;
}

/**
 * A running command, with pipes to and from it. Read both outputs, as streams or by line, or the command may wait until you do.
 */
export interface RunningCommand {
  /** Its stdin. `end()` it when the command waits for the end of its input. */
  readonly stdin: Writable;
  /** Its stdout, as bytes. It ends when the command has ended and all its output has arrived. */
  readonly stdout: Readable;
  /** Its stderr, as bytes. */
  readonly stderr: Readable;
  /**
   * The lines of stdout, until the command has ended: `for await (const line of running.lines)`. While the loop runs, a command
   * that writes faster waits for it. After `break` the command goes on and does not wait: the next loop continues with the next
   * line that is kept, which are at least the last 4 million characters. Bytes that are no UTF-8 become U+FFFD. A line of more than 1 MiB comes in parts.
   */
  readonly lines: AsyncIterable<string>;
  /** The same of stderr. */
  readonly errorLines: AsyncIterable<string>;
  /**
   * Settles when the command has ended.
   * @throws {@link CommandTimeoutError} when its time was over or it was aborted, and its processes are dead
   * @throws {@link TestbedError} when the testbed is broken
   */
  readonly ended: Promise<{
    /** As in {@link RunResult}. */
    readonly status: number;
  }>;
  /** Ends the command with all its processes at once; `ended` then has status 137. */
  kill(): void;
}
