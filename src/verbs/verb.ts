import type { Words } from '../command-line/given.ts';
import type { Log } from '../log.ts';

/** A handler that may use a SIGINT: it returns true when it did, and the program goes on. */
export interface Interrupts {
  handler?: (() => boolean) | undefined;
}

/** Runs a verb and gives the exit status, soon after an abort of `signal`. @throws VirtErrors */
export type RunVerb = (words: Words, signal: AbortSignal, interrupts: Interrupts) => Promise<number>;

export interface VerbContext {
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly interrupts: Interrupts;
}
