/** Makes and removes the trees of apt-caches.ts. An open loads only that. */
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemCodeOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { keyOfAptCaches, writtenCaches } from './apt-caches.ts';
import type { CacheFolder } from './cache.ts';
import { HASH_LENGTH, newName, unpackingName } from './keys.ts';
import { isWhole } from './known-base.ts';
import { tryLock } from './lock.ts';
import { makeShell } from './make-base.ts';
import { type AptCachesRecord, madeNow, readAptCaches } from './record.ts';
import { removeBase, removeLeftovers, setAside } from './remove.ts';
import { type Inside, mustRun } from './unpack.ts';

/** Bytes. Those of all packages of Debian have 90 million. */
const MOST_BYTES = 512 * 2 ** 20;

interface Place {
  readonly holder: Inside;
  readonly cache: CacheFolder;
  readonly log: Log;
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
  const key = keyOfAptCaches(of, idMap);
  const name = unpackingName(idMap, key.slice(0, HASH_LENGTH));
  const lock = await tryLock(join(cache.locks, `unpack-${name}`), log);
  if (lock === undefined) return;
  const fresh = join(cache.bases, newName(name));
  try {
    if (isWhole(join(cache.bases, key))) return;
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
    // Those of an earlier boot that may not be on disk.
    await setAside(cache, key, holder, log);
    renameSync(fresh, join(cache.bases, key));
  } catch (error) {
    await removeLeftovers(cache, holder, log, name).catch(() => {});
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
