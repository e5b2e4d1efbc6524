import { existsSync } from 'node:fs';
import { reasonOf, systemCodeOf, TestbedError } from '../errors.ts';
import { scarceRemedy } from '../scarce.ts';
import type { CacheFolder } from './cache.ts';

export function cacheFullRemedy(path: string): string {
  return `free space on the file system of ${path}, or set XDG_CACHE_HOME to a directory on another one`;
}

export function cacheFailure(cache: CacheFolder, error: unknown): unknown {
  const reason = systemCodeOf(error);
  if (reason === 'ENOSPC' || reason === 'EDQUOT') {
    return new TestbedError(`writing to the cache ${cache.path} failed: ${reasonOf(error)}`, {
      code: 'CACHE_FULL',
      remedy: cacheFullRemedy(cache.path),
      cause: error,
    });
  }
  if (!existsSync(cache.bases)) {
    return new TestbedError(`the cache ${cache.path} was deleted while it was used`, {
      code: 'CACHE_DELETED',
      remedy: 'start again; rootfs prune --all deletes only what is not in use',
      cause: error,
    });
  }
  if (reason === undefined || !/^E[A-Z0-9]+$/.test(reason)) return error;
  return new TestbedError(`using the cache ${cache.path} failed: ${reasonOf(error)}`, {
    code: 'CACHE_UNUSABLE',
    remedy:
      // Of a file system that is read-only, another directory is a better one.
      (reason === 'EROFS' ? undefined : scarceRemedy(reason)) ??
      'try again, or set XDG_CACHE_HOME to another directory',
    cause: error,
  });
}
