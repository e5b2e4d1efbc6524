/** The bases that are in the cache, found without a process and without a lock. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ownIdentity } from '../processes/identity.ts';
import type { CacheFolder } from './cache.ts';
import { readRecord } from './record.ts';
import { addUser, livingUsers, removeUser } from './users.ts';

export interface Base {
  /** Host path of the tree; it is never changed. */
  readonly path: string;
  /** Says that this use is over: from then on the base may be pruned. */
  release(): Promise<void>;
}

/** The base of this key, marked as used by us, if it is there and whole. */
export function inUse(cache: CacheFolder, key: string): Base | undefined {
  const folder = join(cache.bases, key);
  if (!isWhole(folder)) return undefined;
  const user = addUser(folder);
  if (user === undefined) return undefined;
  // A process that removes a base renames it first and then looks for marks: it sees our mark, or we see that the base is gone.
  if (!existsSync(join(folder, 'base.json'))) {
    removeUser(user);
    return undefined;
  }
  // For its other effect: it removes the marks of servers that were killed.
  livingUsers(folder);
  const release = async () => {
    isWhole(folder);
    removeUser(user);
  };
  return { path: join(folder, 'tree', 'root'), release };
}

/** Milliseconds after which the kernel has written everything to disk: twice its default (vm.dirty_expire_centisecs). */
const WRITTEN = 60_000;

/**
 * Nothing waits for the disk here, so when the machine went down soon after the unpacking, files may be empty. A base is
 * therefore trusted in a later boot only if it was seen to be old enough in its own.
 */
export function isWhole(folder: string): boolean {
  const record = readRecord(folder);
  // Without its marks of use an `rm -r` has begun to delete it.
  if (record === undefined || !existsSync(join(folder, 'users'))) return false;
  const settled = join(folder, 'settled');
  if (existsSync(settled)) return true;
  if (record.boot !== ownIdentity().boot) return false;
  if (Date.now() - Date.parse(record.unpacked) > WRITTEN) tryToWrite(settled);
  return true;
}

function tryToWrite(path: string): void {
  try {
    writeFileSync(path, '');
  } catch {
    // The disk is full, or the base is being deleted: a later use does it.
  }
}
