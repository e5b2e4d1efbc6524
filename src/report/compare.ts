/** What differs between two runs. Pure. */
import { changesOf, type PackageChanges } from '../events/packages.ts';
import type { Run, Test } from './run.ts';
import { TIME_KINDS, type TimeKind, timesOf } from './times.ts';

export interface Pair<T> {
  readonly a: T;
  readonly b: T;
}

export interface TestDifference {
  readonly name: string;
  /** Missing: equal. A test that only one of them has is undefined in the other. */
  readonly result?: Pair<string | undefined>;
  /** Milliseconds; missing when they are about equal. */
  readonly duration?: Pair<number>;
  /** Installed before the test: what B has in place of what A has. Missing: equal. */
  readonly packages?: PackageChanges;
}

export interface Comparison {
  readonly tests: readonly TestDifference[];
  /** Milliseconds of all sessions, for each kind that differs. */
  readonly times: readonly ({ readonly kind: TimeKind } & Pair<number>)[];
  /** Whether results and packages are equal. */
  readonly equal: boolean;
}

/** Durations that differ by less are equal: the machine had something else to do. */
const SLACK = { milliseconds: 500, part: 0.25 } as const;

export function compareRuns(a: Run, b: Run): Comparison {
  const [ofA, ofB] = [byName(a), byName(b)];
  const names = new Set([...a.tests, ...b.tests].map(({ name }) => name));
  const tests = [...names].flatMap((name) => {
    const difference = compareTests(name, ofA.get(name), ofB.get(name));
    return Object.keys(difference).length > 1 ? [difference] : [];
  });
  return {
    tests,
    times: timesOfAll(a, b),
    equal: tests.every(({ result, packages }) => result === undefined && packages === undefined),
  };
}

function byName({ tests }: Run): ReadonlyMap<string, Test> {
  return new Map(tests.map((test) => [test.name, test]));
}

function compareTests(name: string, a: Test | undefined, b: Test | undefined): TestDifference {
  const [before, now] = [a?.run?.duration, b?.run?.duration];
  const packages =
    a?.packages === undefined || b?.packages === undefined ? undefined : changesOf(a.packages, b.packages);
  return {
    name,
    ...(a?.result === b?.result ? {} : { result: { a: a?.result, b: b?.result } }),
    ...(before === undefined || now === undefined || isAbout(before, now)
      ? {}
      : { duration: { a: before, b: now } }),
    ...(packages === undefined || isNothing(packages) ? {} : { packages }),
  };
}

function isNothing({ installed, removed, changed }: PackageChanges): boolean {
  return [installed, removed, changed].every((each) => Object.keys(each).length === 0);
}

function isAbout(a: number, b: number): boolean {
  const difference = Math.abs(a - b);
  return difference < SLACK.milliseconds || difference < SLACK.part * Math.max(a, b);
}

function timesOfAll(a: Run, b: Run): Comparison['times'] {
  if (a.sessions.length === 0 || b.sessions.length === 0) return [];
  const sum = ({ sessions }: Run, kind: TimeKind) =>
    sessions.reduce((total, session) => total + timesOf(session).of[kind], 0);
  return TIME_KINDS.map((kind) => ({ kind, a: sum(a, kind), b: sum(b, kind) })).filter(
    (pair) => !isAbout(pair.a, pair.b),
  );
}
