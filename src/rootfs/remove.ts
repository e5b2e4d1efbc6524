/** Removing trees from the cache: what crashes left, and bases that nobody uses. */
import { readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { CacheFolder } from './cache.ts';
import { tryLock } from './lock.ts';
import { deleteTree, type Inside } from './unpack.ts';
import { livingUsers } from './users.ts';

const NEW = '.new-';
const OLD = '.old-';

/** Is there anything that a crash may have left? One look at a folder. */
export function hasLeftovers(cache: CacheFolder): boolean {
  return readdirSync(cache.bases).some((name) => name.startsWith(NEW) || name.startsWith(OLD));
}

/**
 * Removes what unpackings and removals that ended early left behind, of this holder's id map only: it cannot delete
 * the ids of others. What another process works on now stays.
 * @param held name of the unpacking whose lock the caller holds, see base.ts
 */
export async function removeLeftovers(
  cache: CacheFolder,
  holder: Inside,
  log: Log,
  held?: string,
): Promise<void> {
  const map = holder.idMap.key;
  for (const entry of readdirSync(cache.bases)) {
    const folder = join(cache.bases, entry);
    // `.new-MAP-HASH` and `.old-HASH-MAP.PID`, see base.ts and below.
    if (entry.startsWith(OLD)) {
      if (entry.slice(OLD.length + 33).replace(/\.\d+$/, '') !== map) continue;
      if (livingUsers(folder).length === 0) await removeFolder(folder, holder, log);
    } else if (entry.startsWith(NEW)) {
      const name = entry.slice(NEW.length);
      if (name.slice(0, -33) !== map) continue;
      if (name === held) await removeFolder(folder, holder, log);
      else await removeUnlocked(cache, name, folder, holder, log);
    }
  }
}

async function removeUnlocked(
  cache: CacheFolder,
  name: string,
  folder: string,
  holder: Inside,
  log: Log,
): Promise<void> {
  const lock = await tryLock(join(cache.locks, `unpack-${name}`), log);
  if (lock === undefined) return;
  try {
    log.debug(`removing ${folder}, left by an unpacking that ended early`);
    await removeFolder(folder, holder, log);
  } finally {
    lock.release();
  }
}

/** Removes a base unless somebody uses it; says whether it is gone. */
export async function removeBase(
  cache: CacheFolder,
  key: string,
  holder: Inside,
  log: Log,
): Promise<boolean> {
  const folder = join(cache.bases, key);
  if (livingUsers(folder).length > 0) return false;
  const old = join(cache.bases, `${OLD}${key}.${process.pid}`);
  try {
    // Out of the way first: who wants to use it from now on sees that it is gone, and who did before has left a mark.
    renameSync(folder, old);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return true;
    throw error;
  }
  if (livingUsers(old).length > 0) {
    putBack(old, folder);
    return false;
  }
  await removeFolder(old, holder, log);
  return true;
}

function putBack(old: string, folder: string): void {
  try {
    renameSync(old, folder);
  } catch (error) {
    // Somebody has unpacked the same again in that moment; the old one goes when its users have gone.
    if (codeOf(error) !== 'ENOTEMPTY' && codeOf(error) !== 'EEXIST') throw error;
  }
}

async function removeFolder(folder: string, holder: Inside, log: Log): Promise<void> {
  // Without its record first, so that no half of it can be taken for whole.
  rmSync(join(folder, 'base.json'), { force: true });
  await deleteTree(holder, log, join(folder, 'tree'));
  rmSync(folder, { recursive: true, force: true });
}
