/** What an option is, and the calls that have options. Imports nothing. */

export type Call =
  | 'server'
  | 'run'
  | 'run --host'
  | 'shell'
  | 'shell --host'
  | 'exec'
  | 'close'
  | 'cp'
  | 'logs'
  | 'stats'
  | 'commit'
  | 'ps'
  | 'report'
  | 'compare'
  | 'doctor'
  | 'test'
  | `rootfs ${'list' | 'build' | 'update' | 'import' | 'export' | 'remove' | 'prune' | 'verify'}`
  | `debci ${'install' | 'remove'}`
  | `lab ${'up' | 'ps' | 'exec' | 'link' | 'cut' | 'heal' | 'down' | 'graph'}`;

export type Verb =
  | 'run'
  | 'shell'
  | 'test'
  | 'exec'
  | 'close'
  | 'ps'
  | 'stats'
  | 'logs'
  | 'cp'
  | 'commit'
  | 'report'
  | 'compare'
  | 'doctor'
  | 'rootfs'
  | 'lab'
  | 'debci';

export interface Option {
  readonly name: string;
  readonly short?: string;
  /** In brackets: may be left out, and is given only as `--name=VALUE`. */
  readonly values: readonly string[];
  readonly help: string;
  readonly group: 'Root filesystem' | 'Testbed' | 'Command' | 'Tests' | 'Preparation' | 'Other options';
  readonly calls: readonly Call[];
  readonly peer?: true;
}

export const TESTBEDS = ['server', 'run', 'shell'] as const;
export const HOSTS = ['run --host', 'shell --host'] as const;
const ROOTFS = [
  ...(['rootfs list', 'rootfs build', 'rootfs update', 'rootfs import', 'rootfs remove'] as const),
  ...(['rootfs export', 'rootfs prune', 'rootfs verify'] as const),
] as const;
export const LABS = [
  ...(['lab up', 'lab ps', 'lab exec', 'lab link', 'lab cut', 'lab heal', 'lab down', 'lab graph'] as const),
] as const;
export const DEBCI = ['debci install', 'debci remove'] as const;
const OPEN_ONES = ['exec', 'close', 'ps', 'stats', 'logs', 'cp', 'commit'] as const;
const EVIDENCE = ['report', 'compare'] as const;
export const VERBS = [
  ...(['run', 'shell', ...HOSTS, 'test', ...OPEN_ONES, ...EVIDENCE, 'doctor'] as const),
  ...[...ROOTFS, ...LABS],
] as const;

export const RUNS: readonly Call[] = ['run', 'run --host'];
