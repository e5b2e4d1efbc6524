/** The lists of packages that events have as changes. */
import { changedList, type PackageList } from '../events/packages.ts';
import type { TestbedEvent } from '../events/types.ts';

export type Lists = ReadonlyMap<string, PackageList>;

const EMPTY: PackageList = new Map();

/** By id. A list whose base is missing, in a file that was cut off, is left out. */
export function listsOf(events: readonly TestbedEvent[]): Lists {
  const lists = new Map<string, PackageList>();
  for (const event of events) {
    if (event.event !== 'packages' || lists.has(event.id)) continue;
    const base = event.base === undefined ? EMPTY : lists.get(event.base);
    if (base !== undefined) lists.set(event.id, changedList(base, event));
  }
  return lists;
}
