/** What a verb is to the program that calls it. */

/** Who may take a SIGINT for itself: gives true when it did, and the program goes on. */
export interface Interrupts {
  handler?: (() => boolean) | undefined;
}

/**
 * Runs a verb to its end and gives the exit status.
 * @param argv the words behind the verb
 * @param signal aborted when the program is to end: everything is ended and the promise settles soon
 * @throws UsageError, TestbedError and their kin, to be told as a sentence
 */
export type RunVerb = (
  argv: readonly string[],
  signal: AbortSignal,
  interrupts: Interrupts,
) => Promise<number>;

export interface Verb {
  /** What may follow the name. */
  readonly usage: string;
  readonly summary: string;
  readonly load: () => Promise<RunVerb>;
}
