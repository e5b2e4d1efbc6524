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

/** Verbs of docker and podman, and what does the same here. */
export const VERBS_ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ...['stop', 'kill', 'rm'].map((word) => [word, 'close'] as const),
  ...['attach', 'enter'].map((word) => [word, 'exec'] as const),
  ...['build', 'pull', 'create'].map((word) => [word, 'rootfs build'] as const),
  ...['load', 'import'].map((word) => [word, 'rootfs import'] as const),
  ...['save', 'export'].map((word) => [word, 'rootfs export'] as const),
  ...['images', 'image'].map((word) => [word, 'rootfs list'] as const),
  ...['ls', 'list'].map((word) => [word, 'ps'] as const),
  ['rmi', 'rootfs remove'],
  ['start', 'run --detach'],
  ['top', 'ps --processes'],
  ['inspect', 'ps --json'],
]);

export function isVerb(word: string): word is Verb {
  return Object.hasOwn(VERBS, word);
}
