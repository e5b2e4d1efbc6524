/** What a verb is to the program that calls it. */
import type { Words } from '../command-line/given.ts';
import type { Log } from '../log.ts';

/** Where a handler is set that may use a SIGINT: it returns true when it did, and the program goes on. */
export interface Interrupts {
  handler?: (() => boolean) | undefined;
}

/**
 * Runs a verb to its end and gives the exit status.
 * @param words those behind the verb
 * @param signal aborted when the program is to end: everything is ended and the promise settles soon
 * @throws UsageError, TestbedError and other VirtErrors, which are reported as a sentence
 */
export type RunVerb = (words: Words, signal: AbortSignal, interrupts: Interrupts) => Promise<number>;

/** What the parts of a verb share. */
export interface VerbContext {
  readonly log: Log;
  /** Aborted when the program is to end. */
  readonly signal: AbortSignal;
  readonly interrupts: Interrupts;
}
