/** Which tests the next driver gets. */
import type { DefinedTest } from './defined.ts';

/** What a driver is started with. Tests of one share have the same. */
export interface Setting {
  /** `private`: in a network of the testbed's own. */
  readonly network: 'given' | 'private';
  /** Whether the testbed starts from the image with the common dependencies. */
  readonly prepared: boolean;
}

/** All tests of a name: a driver cannot be asked for one of them. */
export interface Unit {
  readonly name: string;
  /** Where it stands among the tests. */
  readonly position: number;
  /** How many tests have the name. */
  readonly count: number;
  readonly setting: Setting;
}

/** Lists of dependencies that are compared with each other. */
const MOST_LISTS = 100;

/**
 * The dependencies that save most when they are installed once: those that two lists have in common, for which the number of tests that
 * depend on all of them, times their own number, is the largest. Empty when no two tests have some in common.
 */
export function commonDepends(tests: readonly Pick<DefinedTest, 'depends'>[]): readonly string[] {
  const lists = tests.flatMap(({ depends }) => (depends === undefined ? [] : [new Set(depends)]));
  const different = [...new Map(lists.map((list) => [[...list].sort().join(), list])).values()].slice(
    0,
    MOST_LISTS,
  );
  let best: { readonly list: readonly string[]; readonly saved: number } = { list: [], saved: 0 };
  for (const one of different) {
    for (const other of different) {
      const list = [...one].filter((each) => other.has(each));
      const users = lists.filter((each) => list.every((word) => each.has(word))).length;
      const saved = (users - 1) * list.length;
      if (saved > best.saved) best = { list, saved };
    }
  }
  return best.list;
}

export function dependsOnAll({ depends }: Pick<DefinedTest, 'depends'>, common: readonly string[]): boolean {
  return depends !== undefined && common.every((each) => depends.includes(each));
}

/** @param settingOf of the tests of a name */
export function unitsOf(
  tests: readonly DefinedTest[],
  settingOf: (tests: readonly DefinedTest[]) => Setting,
): Unit[] {
  const byName = new Map<string, DefinedTest[]>();
  for (const test of tests) byName.set(test.name, [...(byName.get(test.name) ?? []), test]);
  return [...byName].map(([name, all], position) => ({
    ...{ name, position, count: all.length, setting: settingOf(all) },
  }));
}

/** The part of the waiting tests that a driver gets at once when nothing is known about their time. */
const FIRST_PART = 0.6;
const LEAST_PART = 0.3;

/**
 * Takes the first waiting test and those behind it with the same setting. Drivers get smaller shares towards the end, so that they end
 * together; the more the tests seen so far differ in time, the smaller. @param times of the tests that have ended
 */
export function nextShare(waiting: readonly Unit[], jobs: number, times: readonly number[]): Unit[] {
  const [first] = waiting;
  if (first === undefined) return [];
  const same = waiting.filter(({ setting }) => sameSetting(setting, first.setting));
  const size = Math.max(1, Math.ceil((waiting.length / jobs) * partOf(times)));
  return same.slice(0, size);
}

function partOf(times: readonly number[]): number {
  if (times.length < 2) return FIRST_PART;
  const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
  const spread = Math.sqrt(times.reduce((sum, time) => sum + (time - mean) ** 2, 0) / times.length);
  return Math.min(1, Math.max(LEAST_PART, 1 - spread / Math.max(mean, 1)));
}

function sameSetting(one: Setting, other: Setting): boolean {
  return one.network === other.network && one.prepared === other.prepared;
}
