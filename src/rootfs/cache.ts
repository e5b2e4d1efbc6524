/**
 * The cache directory, $XDG_CACHE_HOME/virt-ts-unshare, and what lies where in it:
 *
 *     CACHEDIR.TAG            makes backup programs leave the directory out
 *     images/                 root filesystems that were built or imported: RELEASE-ARCH.tar, .tar.zst, …
 *     images/NAME.image       a committed image, see committed.ts
 *     tarballs/HASH.json      which content a tarball had when it was last read, so that it is not read again
 *     locks/NAME              see lock.ts
 *     bases/KEY/base.json     what the base was made of; written last, so its presence means that the base is whole
 *     bases/KEY/users/        one file per process that uses the base, see users.ts
 *     bases/KEY/tree/root/    the base itself, owned by the ids of a map
 *                             Committed layers (layers.ts), packages.ts and apt-caches.ts keep trees in the same way.
 *     bases/.new-…            being unpacked, or left by a crash
 *     bases/.old-…            being removed, or left by a crash
 *     scratch/                upper layers on disk, see testbed/scratch.ts
 *
 * Only the caller may enter the directory. Root of a holder has another id, so it gets `bases` alone, by a bind mount of the
 * stage, may look up names in it, and creates and deletes in `tree` (mode 777).
 */
import { accessSync, chmodSync, constants, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { reasonOf, systemCodeOf, UsageError } from '../errors.ts';
import { makeFolders } from '../folders.ts';
import { scarceRemedy } from '../scarce.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface CacheFolder {
  readonly path: string;
  readonly images: string;
  readonly tarballs: string;
  readonly locks: string;
  readonly bases: string;
}

// The text is prescribed by the Cache Directory Tagging Specification.
const TAG = `Signature: 8a477f597d28d172789f06886806bc55
# This file is a cache directory tag created by virt-ts-unshare.
# For information about cache directory tags see https://bford.info/cachedir/
`;

export function cacheHome(env: Environment): string {
  const given = env.XDG_CACHE_HOME;
  if (given !== undefined && isAbsolute(given)) return given;
  return join(homeOf(env), '.cache');
}

/** @throws UsageError when neither $HOME nor passwd(5) has an absolute path */
function homeOf(env: Environment): string {
  if (env.HOME !== undefined && isAbsolute(env.HOME)) return env.HOME;
  const home = accountHome();
  if (home === undefined) {
    throw new UsageError('this user has no home directory', {
      code: 'NO_HOME',
      remedy: 'set HOME or XDG_CACHE_HOME',
    });
  }
  return home;
}

function accountHome(): string | undefined {
  try {
    return userInfo().homedir;
  } catch {
    return undefined;
  }
}

/** Not below a temporary $HOME, whose `rm -rf` could not delete bases: they belong to ids of a map. */
export function cachePath(env: Environment, own: string | undefined = accountHome()): string {
  const given = join(cacheHome(env), 'virt-ts-unshare');
  const { HOME } = env;
  if (HOME === undefined || !isAbsolute(HOME) || own === undefined) return given;
  if (!isBelow(given, HOME) || isBelow(given, own) || isSame(HOME, own)) return given;
  const path = join(own, '.cache', 'virt-ts-unshare');
  return mayWrite(path) ? path : given;
}

function isBelow(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return !isAbsolute(way) && way.split('/', 1)[0] !== '..';
}

function isSame(one: string, other: string): boolean {
  try {
    const [a, b] = [statSync(one), statSync(other)];
    return a.dev === b.dev && a.ino === b.ino;
  } catch {
    return false;
  }
}

function mayWrite(path: string): boolean {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) return path !== '/' && mayWrite(dirname(path));
    if (!found.isDirectory() || found.uid !== process.geteuid?.()) return false;
    accessSync(path, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @throws UsageError when it cannot be made or belongs to another user, which could put anything there */
export function openCache(env: Environment): CacheFolder {
  const path = cachePath(env);
  const cache: CacheFolder = {
    path,
    images: join(path, 'images'),
    tarballs: join(path, 'tarballs'),
    locks: join(path, 'locks'),
    bases: join(path, 'bases'),
  };
  try {
    const there = statSync(path, { throwIfNoEntry: false });
    if (there === undefined) {
      makeFolders(path, 0o700);
    } else if (there.uid !== process.geteuid?.()) {
      throw new UsageError(`the cache ${path} belongs to another user`, {
        code: 'CACHE_FOREIGN',
        remedy: 'set XDG_CACHE_HOME to a directory of this user',
      });
    } else if ((there.mode & 0o077) !== 0) {
      chmodSync(path, 0o700);
    }
    for (const folder of [cache.images, cache.tarballs, cache.locks, cache.bases]) makeFolder(folder);
    makeTag(join(path, 'CACHEDIR.TAG'));
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    throw new UsageError(`cannot make the cache ${path}: ${reasonOf(cause)}`, {
      code: 'CACHE_UNUSABLE',
      remedy:
        systemCodeOf(cause) === 'EFBIG'
          ? scarceRemedy('EFBIG')
          : 'set XDG_CACHE_HOME to a directory that this user can write',
      cause,
    });
  }
  return cache;
}

function makeFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  makeFolders(path);
  chmodSync(path, 0o711);
}

function makeTag(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) writeFileSync(path, TAG);
}

/**
 * Atomic: a reader sees the old text or the new one. On failure nothing is left.
 * @param options `flush`: also after a power failure, for what cannot be made again
 */
export function writeWhole(path: string, text: string, { flush = false } = {}): void {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, text, { mode: 0o600, flush });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
