/**
 * What apt(8) computes of package lists before its first answer, pkgcache.bin and srcpkgcache.bin, kept for later testbeds of the
 * same root filesystem: a tree that lies above it. apt takes such a file only if the lists, of which it has times and sizes,
 * are still the same; else it computes them again.
 */
import { lstatSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import type { CacheFolder } from './cache.ts';
import { shortHash } from './identity.ts';
import { baseKey } from './keys.ts';
import { type Base, inUse } from './known-base.ts';
import { readRecord } from './record.ts';

const FOLDERS = ['var', 'cache', 'apt'] as const;
const FILES = ['pkgcache.bin', 'srcpkgcache.bin'] as const;

export interface KnownCaches extends Pick<Base, 'path' | 'release'> {
  /** 0: this root filesystem has valid ones itself, or no apt. */
  readonly files: number;
}

/** @param of key of the topmost layer or base below; the record has it too */
export function keyOfAptCaches(of: string, idMap: string): string {
  return baseKey(shortHash(`caches of apt ${of}`), idMap);
}

/** Not removed before `release`. */
export function findAptCaches(of: string, idMap: string, cache: CacheFolder): KnownCaches | undefined {
  const key = keyOfAptCaches(of, idMap);
  const base = inUse(cache, key);
  if (base === undefined) return undefined;
  const record = readRecord(join(cache.bases, key));
  if (record !== undefined && 'aptCachesOf' in record && record.aptCachesOf === of) {
    return { ...base, files: record.files };
  }
  void base.release();
  return undefined;
}

/**
 * The files that apt wrote into an upper layer. Follows no link.
 * @param tree as this process sees it
 */
export function writtenCaches(tree: string): { readonly paths: readonly string[]; readonly size: number } {
  let directory = tree;
  for (const part of FOLDERS) {
    directory = join(directory, part);
    if (statOf(directory)?.isDirectory() !== true) return { paths: [], size: 0 };
  }
  const found = FILES.flatMap((name) => {
    const status = statOf(join(directory, name));
    return status?.isFile() === true && status.size > 0 ? [{ name, size: status.size }] : [];
  });
  const size = found.reduce((sum, each) => sum + each.size, 0);
  return { paths: found.map(({ name }) => [...FOLDERS, name].join('/')), size };
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    // Not readable for this user: then there is nothing for it.
    return undefined;
  }
}
