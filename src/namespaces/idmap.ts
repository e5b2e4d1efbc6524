/** Which ids a testbed has: the maps of stage and holder (docs/architecture.md), from the caller's ids. */

/** A line of a map: `count` ids from `inside` on are `outside` and following in the parent user namespace. */
interface Extent {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

export interface IdRange {
  readonly start: number;
  readonly count: number;
}

export interface Caller {
  readonly uid: number;
  readonly gid: number;
  readonly ownUsers: readonly Extent[];
  readonly ownGroups: readonly Extent[];
  /** The largest ranges of /etc/subuid and /etc/subgid, if newuidmap is there to use them. */
  readonly subUsers: IdRange | undefined;
  readonly subGroups: IdRange | undefined;
}

export interface IdMaps {
  /** `none`: real root stays in its user namespace. `ranges`: by newuidmap. `self`: one id, without a privileged program. */
  readonly stage: 'none' | 'ranges' | 'self';
  readonly stageUsers: readonly Extent[];
  readonly stageGroups: readonly Extent[];
  readonly users: readonly Extent[];
  readonly groups: readonly Extent[];
  readonly single: boolean;
  /** Names the id map, for keys of what is stored with mapped owners. */
  readonly key: string;
}

/** First id for real root: beyond the ranges of systemd, and below ids that look negative (UIDS-GIDS.md of systemd). */
const ROOT_RANGE: IdRange = { start: 1879048192, count: 65536 };
const FULL = 65536;

function covers(extents: readonly Extent[], range: IdRange): boolean {
  return extents.some((e) => e.inside <= range.start && range.start + range.count <= e.inside + e.count);
}

/** For root inside a small container: the ids of its own user namespace, at most 65536. */
function identity(extents: readonly Extent[]): Extent[] {
  return extents
    .filter((e) => e.inside < FULL)
    .map((e) => ({ inside: e.inside, outside: e.inside, count: Math.min(e.count, FULL - e.inside) }));
}

function rootMap(own: readonly Extent[]): Extent[] {
  for (const range of [ROOT_RANGE, { start: FULL, count: FULL }]) {
    if (covers(own, range)) return [{ inside: 0, outside: range.start, count: range.count }];
  }
  return identity(own);
}

/** The caller's id in a testbed that may act as the caller: no id of a range, of a Debian package or of a normal user. */
const CALLER_INSIDE = 65536;

interface IdMapOptions {
  /** Also map the caller's ids, so that root of the holder has capabilities over the caller's files. Never for real root. */
  readonly withCaller?: boolean;
}

export function chooseIdMaps(caller: Caller, { withCaller = false }: IdMapOptions = {}): IdMaps {
  if (caller.uid === 0) {
    const users = rootMap(caller.ownUsers);
    const groups = rootMap(caller.ownGroups);
    const single = users.reduce((sum, e) => sum + e.count, 0) === 1;
    return {
      stage: 'none',
      stageUsers: [],
      stageGroups: [],
      users,
      groups,
      single,
      key: keyOf(users, groups),
    };
  }
  const self = (id: number): Extent => ({ inside: 0, outside: id, count: 1 });
  const { subUsers, subGroups } = caller;
  if (subUsers === undefined || subGroups === undefined) {
    return {
      stage: 'self',
      stageUsers: [self(caller.uid)],
      stageGroups: [self(caller.gid)],
      users: [self(0)],
      groups: [self(0)],
      single: true,
      key: `self-${caller.uid}-${caller.gid}`,
    };
  }
  const sub = (range: IdRange): Extent => ({ inside: 1, outside: range.start, count: range.count });
  const inner = (range: IdRange): Extent[] => [
    { inside: 0, outside: 1, count: Math.min(range.count, FULL) },
    ...(withCaller ? [{ inside: CALLER_INSIDE, outside: 0, count: 1 }] : []),
  ];
  return {
    stage: 'ranges',
    stageUsers: [self(caller.uid), sub(subUsers)],
    stageGroups: [self(caller.gid), sub(subGroups)],
    users: inner(subUsers),
    groups: inner(subGroups),
    single: false,
    key: keyOf([sub(subUsers)], [sub(subGroups)]),
  };
}

/**
 * Users of the holder that own the user namespaces of the testbeds, one each: no process runs as one of them. Only root where there
 * are few ids.
 */
export function namespaceOwners({ users }: Pick<IdMaps, 'users'>): IdRange {
  const known = users.find(({ inside }) => inside === 0)?.count ?? 1;
  const count = Math.min(4096, Math.floor(known / 8));
  return count === 0 ? { start: 0, count: 1 } : { start: known - 2 * count, count };
}

function keyOf(users: readonly Extent[], groups: readonly Extent[]): string {
  const key = (extents: readonly Extent[]) => extents.map((e) => `${e.outside}-${e.count}`).join('-');
  return key(users) === key(groups) ? key(users) : `${key(users)}-g${key(groups)}`;
}

/** The kernel's overflow id, which stands for every unmapped id. */
const OVERFLOW_ID = 65534;

export function insideUser(maps: Pick<IdMaps, 'stage' | 'stageUsers' | 'users'>, uid: number): number {
  const [inStage] = maps.stage === 'none' ? [uid] : mapped(maps.stageUsers, uid);
  const [inside = OVERFLOW_ID] = inStage === undefined ? [] : mapped(maps.users, inStage);
  return inside;
}

function mapped(extents: readonly Extent[], outside: number): number[] {
  return extents.flatMap((e) =>
    outside >= e.outside && outside < e.outside + e.count ? [outside - e.outside + e.inside] : [],
  );
}

export function mapText(extents: readonly Extent[]): string {
  return extents.map((e) => `${e.inside} ${e.outside} ${e.count}`).join('\n');
}

export function parseMap(text: string): Extent[] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([inside, outside, count]) =>
      inside === undefined || outside === undefined || count === undefined
        ? []
        : [{ inside, outside, count }],
    );
}

export function largestRange(text: string, names: readonly string[]): IdRange | undefined {
  let best: IdRange | undefined;
  for (const line of text.split('\n')) {
    const [name, start, count] = line.split(':');
    if (
      name === undefined ||
      !names.includes(name) ||
      !/^\d+$/.test(start ?? '') ||
      !/^\d+$/.test(count ?? '')
    )
      continue;
    const range = { start: Number(start), count: Number(count) };
    if (best === undefined || range.count > best.count) best = range;
  }
  return best;
}
