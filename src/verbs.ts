/** The other ways to call the program: `virt-ts-unshare VERB ...`. Each is loaded when it is called; the server waits for none. */

import type { Verb } from './verbs/verb.ts';

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
