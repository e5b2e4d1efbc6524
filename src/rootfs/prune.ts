import { existsSync, lstatSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../log.ts';
import type { CacheFolder } from './cache.ts';
import { committedImages } from './committed.ts';
import { removeAptCaches } from './keep-apt-caches.ts';
import { readEntry } from './keys.ts';
import { tryLock, waitLock } from './lock.ts';
import { removeOldPackages } from './packages.ts';
import { type KnownBase, type KnownLayer, readBases, readLayers, readRecord } from './record.ts';
import { removeBase, removeLeftovers } from './remove.ts';
import { keptKeys, keysBelow } from './stack.ts';
import type { Inside } from './unpack.ts';
import { livingUsers } from './users.ts';

export interface Limits {
  readonly maxAge: number;
  readonly maxSize: number;
}

const DAY = 24 * 60 * 60 * 1000;

export const DEFAULT_LIMITS: Limits = { maxAge: 30 * DAY, maxSize: 20 * 2 ** 30 };

export const NO_LIMITS: Limits = { maxAge: -1, maxSize: 0 };

export interface BaseInfo extends KnownBase {
  readonly lastUsed: number;
  readonly users: readonly number[];
}

export function listBases(cache: CacheFolder): BaseInfo[] {
  return readBases(cache)
    .map((base) => {
      const lastUsed = lstatSync(join(base.folder, 'users'), { throwIfNoEntry: false })?.mtimeMs ?? 0;
      return { ...base, lastUsed, users: livingUsers(base.folder) };
    })
    .sort((a, b) => b.lastUsed - a.lastUsed);
}

/** Keys of bases and layers in use, and layers that no image needs. */
function usedTrees(cache: CacheFolder): { used: string[]; layers: KnownLayer[] } {
  const layers = readLayers(cache);
  const trees = [...readBases(cache), ...layers];
  const used = trees.filter(({ folder }) => livingUsers(folder).length > 0).map(({ key }) => key);
  return { used, layers };
}

/** Names of the images that lie over a base. */
export function imagesOver(cache: CacheFolder, key: string): string[] {
  return committedImages(cache)
    .filter(({ layer }) => keysBelow(cache, layer).includes(key))
    .map(({ name }) => name);
}

/** Removes layers that neither an image nor a testbed needs. The caller holds the lock of layers. */
export async function pruneLayers(cache: CacheFolder, holder: Inside, log: Log): Promise<void> {
  for (;;) {
    const { used, layers } = usedTrees(cache);
    const kept = keptKeys(cache, used);
    const parents = new Set(layers.map(({ record }) => record.parent));
    const unneeded = layers.filter(
      // A layer goes before what it lies over.
      ({ key, record }) =>
        record.idMap === holder.idMap.key && !kept.has(key) && !used.includes(key) && !parents.has(key),
    );
    const removed = await Promise.all(unneeded.map(({ key }) => removeBase(cache, key, holder, log)));
    if (!removed.includes(true)) break;
  }
  await removeAptCaches({ cache, holder, log }, { all: false });
}

/** The old ones, then the least recently used ones until the rest fits. Never one in use. */
export function choosePruned(bases: readonly BaseInfo[], limits: Limits, now: number): BaseInfo[] {
  const oldestFirst = [...bases].sort((a, b) => a.lastUsed - b.lastUsed);
  let size = bases.reduce((sum, base) => sum + base.record.size, 0);
  const pruned: BaseInfo[] = [];
  for (const base of oldestFirst) {
    if (base.users.length > 0) continue;
    if (now - base.lastUsed <= limits.maxAge && size <= limits.maxSize) continue;
    pruned.push(base);
    size -= base.record.size;
  }
  return pruned;
}

/**
 * Also removes what crashes left. Gives the removed bases. Bases of other id maps cannot be removed. Images stay, with all that
 * they lie over, which does not count.
 * @param signal ends the wait for another process
 */
export async function prune(
  cache: CacheFolder,
  holder: Inside,
  log: Log,
  limits: Limits,
  signal?: AbortSignal,
): Promise<BaseInfo[]> {
  return withLayerLock(cache, log, () => pruneLocked(cache, holder, log, limits), signal);
}

/** While it is held, no image is made and nothing is removed that one may need. @param signal ends the wait for it */
export async function withLayerLock<T>(
  cache: CacheFolder,
  log: Log,
  work: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  signal?.throwIfAborted();
  const path = join(cache.locks, 'layers');
  // To take a free lock is no wait: a short session prunes too.
  const lock = (await tryLock(path, log)) ?? (await waitLock(path, log, signal));
  try {
    return await work();
  } finally {
    lock.release();
  }
}

async function pruneLocked(
  cache: CacheFolder,
  holder: Inside,
  log: Log,
  limits: Limits,
): Promise<BaseInfo[]> {
  await removeLeftovers(cache, holder, log);
  await pruneLayers(cache, holder, log);
  for (const key of brokenBases(cache, holder)) await removeBase(cache, key, holder, log);
  const removed: BaseInfo[] = [];
  const kept = keptKeys(cache, usedTrees(cache).used);
  const bases = listBases(cache).filter(({ key }) => !kept.has(key));
  for (const base of choosePruned(bases, limits, Date.now())) {
    if (base.record.idMap !== holder.idMap.key) continue;
    if (await removeBase(cache, base.key, holder, log)) removed.push(base);
  }
  await removeOldPackages(cache, holder, log, limits.maxSize === 0 ? 0 : 1);
  await removeAptCaches({ cache, holder, log }, { all: limits.maxSize === 0 });
  forgetTarballs(cache);
  return removed;
}

/** Bases of this id map without a record, as after an `rm -r`, which may not delete files of a subordinate id. */
function brokenBases(cache: CacheFolder, { idMap }: Inside): string[] {
  return readdirSync(cache.bases).filter(
    (name) =>
      readEntry(name).kind === 'base' &&
      name.endsWith(`-${idMap.key}`) &&
      (readRecord(join(cache.bases, name)) === undefined || !existsSync(join(cache.bases, name, 'users'))),
  );
}

function forgetTarballs(cache: CacheFolder): void {
  for (const entry of readdirSync(cache.tarballs)) {
    if (!entry.endsWith('.json')) continue;
    const path = join(cache.tarballs, entry);
    const tarball = rememberedPath(path);
    if (tarball === undefined || isGone(tarball)) rmSync(path, { force: true });
  }
}

/** One that cannot be looked at, such as on a file system that is not mounted now, may be there. */
function isGone(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) === undefined;
  } catch {
    return false;
  }
}

function rememberedPath(file: string): string | undefined {
  try {
    const record: unknown = JSON.parse(readFileSync(file, 'utf8'));
    const path: unknown =
      typeof record === 'object' && record !== null ? Reflect.get(record, 'path') : undefined;
    return typeof path === 'string' ? path : undefined;
  } catch {
    return undefined;
  }
}
