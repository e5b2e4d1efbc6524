/** Which lists of packages a session has seen, by the state of the file that they were read from. */
import { createHash } from 'node:crypto';
import { changesOf, type PackageChanges, type PackageList, parseDpkgStatus } from './packages.ts';
import type { OnEvent } from './types.ts';

/** As the events have it. */
export interface NewList extends PackageChanges {
  readonly id: string;
  readonly base?: string;
}

const EMPTY: PackageList = new Map();

const lists = new Map<string, PackageList>();
/** Ids of lists by states of files: inode, time of change and size, see file_state() of helper/journal.c. */
const ids = new Map<string, string>();
/** Each listener gets each list once. */
const given = new WeakMap<OnEvent, Set<string>>();

export function idOfState(state: string | undefined): string | undefined {
  return state === undefined ? undefined : ids.get(state);
}

/** @param text of helper/read.c: a line with the state, and the file */
export function learn(text: string): void {
  const end = text.indexOf('\n');
  const list = parseDpkgStatus(text.slice(end + 1));
  const id = createHash('sha256')
    .update(JSON.stringify([...list]))
    .digest('hex')
    .slice(0, 16);
  ids.set(text.slice(0, Math.max(end, 0)), id);
  // Each testbed has files of other states with the same packages.
  if (!lists.has(id)) lists.set(id, list);
}

/** What the listener has to get before an event with this id; undefined when it has that already. */
export function newFor(onEvent: OnEvent, id: string, base: string | undefined): NewList | undefined {
  const has = given.get(onEvent) ?? new Set();
  given.set(onEvent, has);
  const known = lists.get(id);
  if (has.has(id) || known === undefined) return undefined;
  has.add(id);
  const before = base === undefined || !has.has(base) ? undefined : lists.get(base);
  return {
    id,
    ...(before === undefined || base === undefined ? {} : { base }),
    ...changesOf(before ?? EMPTY, known),
  };
}
