/** Bases in the cache, found without a process and without a lock. */
import { existsSync, writeFileSync } from 'node:fs';
import { uptime } from 'node:os';
import { join } from 'node:path';
import { keepFresh } from '../processes/fresh.ts';
import { ownIdentity } from '../processes/identity.ts';
import type { CacheFolder } from './cache.ts';
import { readRecord } from './record.ts';
import { addUser, livingUsers, removeUser } from './users.ts';

export interface Base {
  readonly path: string;
  /** What a testbed lies over, topmost first: committed layers, if any, and last `path`. */
  readonly layers: readonly string[];
  /** Their keys in the cache; none for a directory. */
  readonly keys: readonly string[];
  release(): Promise<void>;
}

export function inUse(cache: CacheFolder, key: string): Base | undefined {
  const folder = join(cache.bases, key);
  if (!isWhole(folder)) return undefined;
  const user = addUser(folder);
  if (user === undefined) return undefined;
  // A process that removes a base renames it first and then looks for marks: it sees this mark, or the base is gone here.
  if (!existsSync(join(folder, 'base.json'))) {
    removeUser(user);
    return undefined;
  }
  // Removes the marks of servers that were killed.
  livingUsers(folder);
  // A process of another pid namespace believes only a mark that is new.
  const stop = keepFresh(user);
  const release = async () => {
    stop();
    removeUser(user);
    try {
      // Notes that it is on disk now.
      isWhole(folder);
    } catch {}
  };
  const path = join(folder, 'tree', 'root');
  return { path, layers: [path], keys: [key], release };
}

/** Seconds after which the kernel has written everything to disk: twice the default of vm.dirty_expire_centisecs. */
const WRITTEN = 60;

/**
 * Unpacking does not wait for the disk, so files may be empty when the machine went down soon after. A base of an earlier
 * boot is therefore trusted only if it was old enough in that boot.
 */
export function isWhole(folder: string): boolean {
  const record = readRecord(folder);
  // Without its marks of use, an `rm -r` has begun to delete it.
  if (record === undefined || !existsSync(join(folder, 'users'))) return false;
  const settled = join(folder, 'settled');
  if (existsSync(settled)) return true;
  if (record.boot !== ownIdentity().boot) return false;
  // Not by the time of day, which may jump.
  if (typeof record.uptime === 'number' && uptime() - record.uptime > WRITTEN) tryToWrite(settled);
  return true;
}

function tryToWrite(path: string): void {
  try {
    writeFileSync(path, '');
  } catch {}
}
