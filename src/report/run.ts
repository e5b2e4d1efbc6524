/** What is known about a run: its sessions, and each test with its result. Pure. */
import type { PackageList } from '../events/packages.ts';
import { changesOf, type PackageChanges } from '../events/packages.ts';
import type { Input } from './input.ts';
import { listsOf } from './lists.ts';
import { type Session, sessionsOf, type TestRun } from './model.ts';

export interface Test {
  readonly name: string;
  /** Of the summary; else from the status. */
  readonly result: string;
  readonly passed: boolean;
  /** Missing when there are no events. */
  readonly run?: TestRun;
  /** Installed before it. */
  readonly packages?: PackageList;
  /** What it changed. */
  readonly changes?: PackageChanges;
}

export interface Run {
  readonly name: string;
  readonly sessions: readonly Session[];
  readonly tests: readonly Test[];
  readonly strange: number;
  /** Milliseconds since 1970; 0 without events. */
  readonly from: number;
  readonly to: number;
}

export function runOf(input: Input): Run {
  const sessions = sessionsOf(input.events);
  const lists = listsOf(input.events);
  const runs = sessions.flatMap(({ tests }) => tests).sort((a, b) => a.from - b.from);
  const names = [...input.results.map(({ name }) => name), ...runs.map(({ name }) => name)];
  // A test that ran again, because its driver died, has the result of the last time.
  const last = new Map(runs.map((run) => [run.name, run]));
  const results = new Map(input.results.toReversed().map(({ name, result }) => [name, result]));
  const tests = [...new Set(names)].flatMap((name) => {
    const run = last.get(name);
    const result = results.get(name) ?? resultOf(run);
    const packages = listOf(lists, run?.before) ?? input.packages.get(name);
    const after = listOf(lists, run?.after);
    return [
      {
        ...{ name, result, passed: /^(PASS|SKIP)\b/.test(result) },
        ...(run === undefined ? {} : { run }),
        ...(packages === undefined ? {} : { packages }),
        ...(packages === undefined || after === undefined ? {} : { changes: changesOf(packages, after) }),
      },
    ];
  });
  return {
    ...{ name: input.name, sessions, tests, strange: input.strange },
    from: sessions.reduce((least, { from }) => Math.min(least, from), sessions[0]?.from ?? 0),
    to: sessions.reduce((most, { to }) => Math.max(most, to), 0),
  };
}

function listOf(lists: ReadonlyMap<string, PackageList>, id: string | undefined): PackageList | undefined {
  return id === undefined ? undefined : lists.get(id);
}

function resultOf(run: TestRun | undefined): string {
  if (run?.status === undefined) return 'no result (killed)';
  return run.status === 0 ? 'status 0' : `status ${run.status}`;
}
