import type { Command, CommandOptions, RunningCommand, RunResult } from './command.ts';

/** A connection to the port is accepted. */
export interface PortCondition {
  readonly port: number;
  /** An IP address of the testbed. Default: 127.0.0.1 or ::1. */
  readonly address?: string;
}

/** A line of stdout or stderr has the text, or matches. Lines that came before are looked at too. */
export interface LogCondition {
  readonly log: string | RegExp;
  /** What `start` gave. */
  readonly of: RunningCommand;
  /** How many lines have to match. Default: 1. */
  readonly times?: number;
}

/** A request by GET is answered. */
export interface HttpCondition {
  /** A port. */
  readonly http: number;
  /** Default: /. */
  readonly path?: string;
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
  readonly command: Command;
}

export type Condition = PortCondition | LogCondition | HttpCondition | CommandCondition;

export interface WaitOptions {
  /** Seconds. Default: 60. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

/** What waitFor gives for a condition, or for a list of them. */
export type Ready<C> = C extends readonly unknown[]
  ? { -readonly [I in keyof C]: Ready<C[I]> }
  : C extends LogCondition
    ? string
    : C extends HttpCondition
      ? { readonly status: number; readonly body: string }
      : C extends CommandCondition
        ? RunResult
        : undefined;
