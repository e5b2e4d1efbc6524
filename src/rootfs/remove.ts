import { readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, systemCodeOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { CacheFolder } from './cache.ts';
import { oldName, readEntry } from './keys.ts';
import { tryLock } from './lock.ts';
import { deleteTree, type Inside } from './unpack.ts';
import { livingUsers } from './users.ts';

/**
 * Removes what interrupted work of this id map left. What cannot be removed stays, and disturbs nothing.
 * @param held the unpacking whose lock the caller holds
 * @throws TestbedError when what that left cannot be removed
 */
export async function removeLeftovers(
  cache: CacheFolder,
  holder: Inside,
  log: Log,
  held?: string,
): Promise<void> {
  for (const name of readdirSync(cache.bases)) {
    const entry = readEntry(name);
    const folder = join(cache.bases, name);
    if (entry.kind === 'base' || entry.idMap !== holder.idMap.key) continue;
    if (entry.kind === 'new' && entry.unpacking === held) {
      await removeFolder(folder, holder, log);
      continue;
    }
    const removing =
      entry.kind === 'old'
        ? removeUnused(folder, holder, log)
        : removeUnlocked(cache, entry.unpacking, folder, holder, log);
    await removing.catch((error: unknown) => log.debug(`removing ${folder} failed: ${messageOf(error)}`));
  }
}

async function removeUnused(folder: string, holder: Inside, log: Log): Promise<void> {
  if (livingUsers(folder).length === 0) await removeFolder(folder, holder, log);
}

async function removeUnlocked(
  cache: CacheFolder,
  unpacking: string,
  folder: string,
  holder: Inside,
  log: Log,
): Promise<void> {
  const lock = await tryLock(join(cache.locks, `unpack-${unpacking}`), log);
  if (lock === undefined) return;
  try {
    log.debug(`removing ${folder}, left by an unpacking that ended early`);
    await removeFolder(folder, holder, log);
  } finally {
    lock.release();
  }
}

/** False when it is in use. */
export async function removeBase(
  cache: CacheFolder,
  key: string,
  holder: Inside,
  log: Log,
): Promise<boolean> {
  const folder = join(cache.bases, key);
  if (livingUsers(folder).length > 0) return false;
  const old = join(cache.bases, oldName(key));
  try {
    // A process that looks for it later sees that it is gone; one that looked before has left a mark.
    renameSync(folder, old);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return true;
    throw error;
  }
  if (livingUsers(old).length > 0) {
    putBack(old, folder);
    return false;
  }
  await removeFolder(old, holder, log);
  return true;
}

/** Renames an incomplete base, so that a new one can be made. Its files are deleted after its last user has ended. */
export async function setAside(cache: CacheFolder, key: string, holder: Inside, log: Log): Promise<void> {
  const old = join(cache.bases, oldName(key));
  try {
    renameSync(join(cache.bases, key), old);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return;
    throw error;
  }
  await removeUnused(old, holder, log);
}

function putBack(old: string, folder: string): void {
  try {
    renameSync(old, folder);
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOTEMPTY' && systemCodeOf(error) !== 'EEXIST') throw error;
  }
}

async function removeFolder(folder: string, holder: Inside, log: Log): Promise<void> {
  // The record first, so that a partial tree is not taken for a complete one.
  rmSync(join(folder, 'base.json'), { force: true });
  await deleteTree(holder, log, join(folder, 'tree'));
  rmSync(folder, { recursive: true, force: true });
}
