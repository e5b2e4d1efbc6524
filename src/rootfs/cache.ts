/**
 * The cache folder, $XDG_CACHE_HOME/virt-ts-unshare, and what lies where in it:
 *
 *     CACHEDIR.TAG            tells backup programs to leave the folder out
 *     images/                 root filesystems that were built or imported: RELEASE-ARCH.tar, .tar.zst, …
 *     tarballs/HASH.json      which content a tarball had when it was last read, so that it is not read again
 *     locks/NAME              see lock.ts
 *     bases/KEY/base.json     what the base was made of; written last, so its presence means that the base is whole
 *     bases/KEY/users/        one file per process that uses the base, see users.ts
 *     bases/KEY/tree/root/    the base itself, owned by the ids of a map
 *     bases/.new-…            being unpacked, or left by a crash
 *     bases/.old-…            being removed, or left by a crash
 *
 * Only the caller may enter the folder. Root of a holder is nobody here, so it gets `bases` alone, by a bind mount of the
 * stage, may look up names in it, and creates and deletes in `tree` (mode 777).
 */
import { chmodSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { reasonOf, UsageError } from '../errors.ts';
import { makeFolders } from '../folders.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface CacheFolder {
  readonly path: string;
  readonly images: string;
  readonly tarballs: string;
  readonly locks: string;
  /** The one folder that the holder needs: give it to `Holder.start` as a source. */
  readonly bases: string;
}

// The text is prescribed by the Cache Directory Tagging Specification.
const TAG = `Signature: 8a477f597d28d172789f06886806bc55
# This file is a cache directory tag created by virt-ts-unshare.
# For information about cache directory tags see https://bford.info/cachedir/
`;

/** $XDG_CACHE_HOME; ~/.cache when that is unset or, against the XDG base directory specification, relative. */
export function cacheHome(env: Environment): string {
  const given = env.XDG_CACHE_HOME;
  if (given !== undefined && isAbsolute(given)) return given;
  return join(homeOf(env), '.cache');
}

/** $HOME; what the system says where that is no absolute path. @throws UsageError when neither is */
function homeOf(env: Environment): string {
  if (env.HOME !== undefined && isAbsolute(env.HOME)) return env.HOME;
  try {
    return userInfo().homedir;
  } catch (cause) {
    throw new UsageError('this user has no home folder; set HOME or XDG_CACHE_HOME', { cause });
  }
}

/**
 * The cache folder, made if it is not there.
 * @throws UsageError when it cannot be made or belongs to somebody else, who could lay anything there for us to trust
 */
export function openCache(env: Environment): CacheFolder {
  const path = join(cacheHome(env), 'virt-ts-unshare');
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
      throw new UsageError(
        `the cache ${path} belongs to another user; set XDG_CACHE_HOME to a directory of yours`,
      );
    } else if ((there.mode & 0o077) !== 0) {
      chmodSync(path, 0o700);
    }
    for (const folder of [cache.images, cache.tarballs, cache.locks, cache.bases]) makeFolder(folder);
    makeTag(join(path, 'CACHEDIR.TAG'));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(
      `cannot make the cache ${path}: ${reasonOf(error)}; set XDG_CACHE_HOME to a directory that you can write`,
      { cause: error },
    );
  }
  return cache;
}

function makeFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  makeFolders(path);
  // Whatever the umask: root of a holder is `other` in `bases` and has to walk through.
  chmodSync(path, 0o711);
}

function makeTag(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) writeFileSync(path, TAG);
}

/** Writes a file so that a reader sees the old text or the new one, never a part. */
export function writeWhole(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, text, { mode: 0o600 });
  renameSync(temporary, path);
}
