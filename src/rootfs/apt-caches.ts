/**
 * What apt(8) computes of package lists before its first answer, pkgcache.bin and srcpkgcache.bin, kept for later testbeds of the
 * same root filesystem: a tree that lies above it. apt takes such a file only if the lists, of which it has times and sizes,
 * are still the same; else it computes them again.
 */
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, renameSync, rmSync, type Stats, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemCodeOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { CacheFolder } from './cache.ts';
import { baseKey, HASH_LENGTH, newName, unpackingName } from './keys.ts';
import { type Base, inUse } from './known-base.ts';
import { tryLock } from './lock.ts';
import { makeShell } from './make-base.ts';
import { type AptCachesRecord, madeNow, readAptCaches, readRecord } from './record.ts';
import { removeBase, removeLeftovers } from './remove.ts';
import { type Inside, mustRun } from './unpack.ts';

const FOLDERS = ['var', 'cache', 'apt'] as const;
const FILES = ['pkgcache.bin', 'srcpkgcache.bin'] as const;

/** Bytes. Those of all packages of Debian have 90 million. */
const MOST_BYTES = 512 * 2 ** 20;

interface Place {
  readonly holder: Inside;
  readonly cache: CacheFolder;
  readonly log: Log;
}

export interface KnownCaches extends Pick<Base, 'path' | 'release'> {
  /** 0: this root filesystem has valid ones itself, or no apt. */
  readonly files: number;
}

/** @param of key of the topmost layer or base below */
function keyOf(of: string, idMap: string): string {
  return baseKey(createHash('sha256').update(`caches of apt ${of}`).digest('hex'), idMap);
}

/** Not removed before `release`. */
export function findAptCaches(of: string, idMap: string, cache: CacheFolder): KnownCaches | undefined {
  const key = keyOf(of, idMap);
  const base = inUse(cache, key);
  if (base === undefined) return undefined;
  const record = readRecord(join(cache.bases, key));
  if (record !== undefined && 'aptCachesOf' in record) return { ...base, files: record.files };
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

/**
 * Keeps what `write` makes apt write. Does nothing while another process does the same.
 * @param write gives an upper layer in which no process runs any more, as the holder and as this process see it; undefined
 *     when there is no room for it
 * @throws TestbedError
 */
export async function keepAptCaches(
  of: string,
  place: Place,
  write: () => Promise<{ readonly tree: string; readonly seen: string } | undefined>,
): Promise<void> {
  const { holder, cache, log } = place;
  const idMap = holder.idMap.key;
  const key = keyOf(of, idMap);
  const name = unpackingName(idMap, key.slice(0, HASH_LENGTH));
  const lock = await tryLock(join(cache.locks, `unpack-${name}`), log);
  if (lock === undefined) return;
  const fresh = join(cache.bases, newName(name));
  try {
    if (existsSync(join(cache.bases, key))) return;
    const written = await write();
    if (written === undefined) return;
    const { paths, size } = writtenCaches(written.seen);
    const files = size > MOST_BYTES ? [] : paths;
    await removeLeftovers(cache, holder, log, name);
    makeShell(fresh);
    const root = `${holder.inside(fresh)}/tree/root`;
    const run = (argv: [string, ...string[]]) =>
      mustRun(holder.enter(argv), log, 'keeping the caches of apt');
    await run(['mkdir', '-m', '755', root]);
    // The directories too get owner and mode of those in the testbed.
    if (files.length > 0)
      await run(['env', '-C', written.tree, 'cp', '-p', '--parents', '-t', root, '--', ...files]);
    const record: AptCachesRecord = {
      ...{ aptCachesOf: of, files: files.length, idMap, size: files.length > 0 ? size : 0 },
      ...madeNow(),
    };
    writeFileSync(join(fresh, 'base.json'), `${JSON.stringify(record)}\n`, { mode: 0o600 });
    renameSync(fresh, join(cache.bases, key));
  } catch (error) {
    await removeLeftovers(cache, holder, log, name).catch(() => {});
    rmSync(fresh, { recursive: true, force: true });
    if (systemCodeOf(error) !== 'ENOTEMPTY' && systemCodeOf(error) !== 'EEXIST') throw error;
  } finally {
    lock.release();
  }
}

/** Removes those of root filesystems that the cache has no more, or all. Never those in use. */
export async function removeAptCaches(
  { cache, holder, log }: Place,
  { all }: { readonly all: boolean },
): Promise<void> {
  for (const { key, record } of readAptCaches(cache)) {
    if (record.idMap !== holder.idMap.key) continue;
    if (all || !existsSync(join(cache.bases, record.aptCachesOf))) await removeBase(cache, key, holder, log);
  }
}
