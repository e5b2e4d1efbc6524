/** The other ways to call the program: `virt-ts-unshare VERB ...`. Each is loaded when it is called; the server waits for none. */

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

interface Verb {
  /** What may follow the name. */
  readonly usage: string;
  readonly summary: string;
  readonly load: () => Promise<RunVerb>;
}

/** Exit status when the testbed could not be made or is broken; a command's own never is that. */
export const EXIT_TESTBED = 255;

export const VERBS: Readonly<Record<string, Verb>> = {
  run: {
    usage: '[OPTION]... [-- COMMAND...]',
    summary: 'run a command in a fresh testbed, or isolated on this machine, and say what it left behind',
    load: async () => (await import('./verbs/run.ts')).run,
  },
  shell: {
    usage: '[OPTION]...',
    summary: 'an interactive shell in a fresh testbed, or isolated on this machine',
    load: async () => (await import('./verbs/shell.ts')).shell,
  },
  exec: {
    usage: 'NAME|PID [OPTION]... [-- COMMAND...]',
    summary: 'run a command or a shell in a testbed of this user that is open',
    load: async () => (await import('./verbs/exec.ts')).exec,
  },
  ps: {
    usage: '[--json] [--processes]',
    summary: 'list the testbeds of this user that are open',
    load: async () => (await import('./verbs/ps.ts')).ps,
  },
  doctor: {
    usage: '[--json]',
    summary: 'try what testbeds need of this machine, and name the remedy for what it lacks',
    load: async () => (await import('./verbs/doctor.ts')).doctor,
  },
  rootfs: {
    usage: 'COMMAND [OPTION]...',
    summary: 'list, build, update, import, remove, prune and verify root filesystems',
    load: async () => (await import('./verbs/rootfs.ts')).rootfs,
  },
  lab: {
    usage: 'COMMAND FILE [OPTION]...',
    summary: 'laboratories: several testbeds with real addresses on networks of their own',
    load: async () => (await import('./verbs/lab.ts')).lab,
  },
};
