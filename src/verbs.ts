/** The verbs: `virt-ts-unshare VERB ...`. Each is loaded when it is called, so that the server starts without them. */
import type { Verb } from './command-line/options/option.ts';
import type { RunVerb } from './verbs/verb.ts';

export const VERBS: Readonly<Record<Verb, () => Promise<RunVerb>>> = {
  run: async () => (await import('./verbs/run.ts')).run,
  shell: async () => (await import('./verbs/shell.ts')).shell,
  test: async () => (await import('./verbs/test.ts')).test,
  exec: async () => (await import('./verbs/exec.ts')).exec,
  close: async () => (await import('./verbs/close.ts')).close,
  cp: async () => (await import('./verbs/cp.ts')).cp,
  logs: async () => (await import('./verbs/logs.ts')).logs,
  stats: async () => (await import('./verbs/stats.ts')).stats,
  commit: async () => (await import('./verbs/commit.ts')).commit,
  ps: async () => (await import('./verbs/ps.ts')).ps,
  report: async () => (await import('./verbs/report.ts')).report,
  compare: async () => (await import('./verbs/compare.ts')).compare,
  doctor: async () => (await import('./verbs/doctor.ts')).doctor,
  rootfs: async () => (await import('./verbs/rootfs.ts')).rootfs,
  debci: async () => (await import('./verbs/debci.ts')).debci,
  lab: async () => (await import('./verbs/lab.ts')).lab,
};

export function isVerb(word: string): word is Verb {
  return Object.hasOwn(VERBS, word);
}
