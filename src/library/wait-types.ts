import type { Command, CommandOptions, RunningCommand, RunResult } from './command.ts';

/** A connection to the port is accepted. */
export interface PortCondition {
  /** TCP port in the network of the testbed, 1 to 65535. */
  readonly port: number;
  /** An IP address of the testbed. Default: 127.0.0.1 or ::1. */
  readonly address?: string;
}

/** A line of stdout or stderr has the text, or matches. Lines that came before are looked at too. */
export interface LogCondition {
  /** A text that the line contains, or an expression that it matches. */
  readonly log: string | RegExp;
  /** What `start` gave. */
  readonly of: RunningCommand;
  /** How many lines have to match. Default: 1. */
  readonly times?: number;
}

/** A request by GET is answered. */
export interface HttpCondition {
  /** TCP port in the network of the testbed, 1 to 65535. */
  readonly http: number;
  /** Path of the request, with its query. Default: /. */
  readonly path?: string;
  /** Headers of the request. Default: none but those that HTTP needs. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The status that the answer must have, or one of several. Default: 200 to 299. */
  readonly status?: number | readonly number[];
  /** What the body must have; of a large body the first MiB is looked at. */
  readonly body?: string | RegExp;
  /** An IP address of the testbed. Default: 127.0.0.1 or ::1. */
  readonly address?: string;
}

/** A command, which is run again and again, ends with status 0. */
export interface CommandCondition extends Pick<CommandOptions, 'cwd' | 'env' | 'user'> {
  /** A program with its arguments, or a text for `sh -c` of the testbed. */
  readonly command: Command;
}

/** What can be waited for. */
export type Condition = PortCondition | LogCondition | HttpCondition | CommandCondition;

/** How long `waitFor` waits. */
export interface WaitOptions {
  /** Seconds, after which a {@link NotReadyError} is thrown. Default: 60. */
  readonly timeout?: number;
  /** Aborting ends the waiting with its reason. */
  readonly signal?: AbortSignal;
}

/** What `waitFor` gives for a condition: the line of `log`, status and body of `http`, the result of `command`, undefined for `port`; of a list, a list. */
export type Ready<C> = C extends readonly unknown[]
  ? { -readonly [I in keyof C]: Ready<C[I]> }
  : C extends LogCondition
    ? string
    : C extends HttpCondition
      ? {
          /** Status of the answer. */
          readonly status: number;
          /** Its body as text, at most the first MiB. */
          readonly body: string;
        }
      : C extends CommandCondition
        ? RunResult
        : undefined;
