/** Copies an upper layer of a testbed into the cache, with a temporary name until it is complete. */
import { lstatSync, renameSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { systemCodeOf, TestbedError } from '../errors.ts';
import { type Argv, briefWords, spawnHost, textOf } from '../host.ts';
import type { Log } from '../log.ts';
import { randomBytes } from '../random.ts';
import type { CacheFolder } from './cache.ts';
import { cacheFullRemedy } from './cache-failure.ts';
import { newName, unpackingName } from './keys.ts';
import { tryLock } from './lock.ts';
import { makeShell } from './make-base.ts';
import { type LayerRecord, madeNow } from './record.ts';
import { removeLeftovers } from './remove.ts';
import type { Inside } from './unpack.ts';
import { addUser } from './users.ts';

export interface LayerSource {
  /** The upper layer, as the holder sees it. */
  readonly upper: string;
  /** Key of the layer or base below. */
  readonly parent: string;
  /** Absolute paths in the testbed where something is mounted: empty ones were made for that. */
  readonly binds: readonly string[];
}

export interface PlacedLayer {
  readonly key: string;
  readonly size: number;
  /** A mark of use, so that it is not pruned before an image has it. */
  readonly mark: string | undefined;
}

const KEEP = '--preserve=mode,ownership,timestamps,links,xattr';

/** @throws TestbedError */
export async function placeLayer(
  source: LayerSource,
  { holder, cache, log, signal }: LayerPlace,
): Promise<PlacedLayer> {
  const idMap = holder.idMap.key;
  const hash = randomBytes(16).toString('hex');
  const name = unpackingName(idMap, hash);
  const lock = await tryLock(join(cache.locks, `unpack-${name}`), log);
  if (lock === undefined) throw new TestbedError(`locking ${name} failed`, { code: 'CANNOT_LOCK' });
  const fresh = join(cache.bases, newName(name));
  try {
    makeShell(fresh);
    const run = (argv: Argv, what: string) => mustCopy(holder.enter(argv), what, lock.fd, log, signal);
    const root = `${holder.inside(fresh)}/tree/root`;
    await run(['mkdir', '-m', '755', root], 'making the directory of a layer');
    await run(['cp', '-dR', '--reflink=auto', KEEP, '--', `${source.upper}/.`, root], 'copying the layer');
    await completeHome(join(fresh, 'tree/root'), root, run);
    await run(['find', root, ...notForImages(root, source.binds)], 'removing what belongs to the testbed');
    const used = await run(['du', '-s', '--block-size=1', root], 'measuring the layer');
    const size = Number.parseInt(used, 10) || 0;
    writeFileSync(join(fresh, 'settled'), '');
    const record: LayerRecord = {
      ...{ parent: source.parent, idMap, size },
      ...madeNow(),
    };
    writeFileSync(join(fresh, 'base.json'), `${JSON.stringify(record)}\n`, { mode: 0o600 });
    // A layer cannot be made again as a base can, so it must be on disk, with its record: without it prune removes the layer.
    await mustCopy(['sync', '-f', fresh], 'writing the layer to disk', lock.fd, log, signal);
    const mark = addUser(fresh);
    const key = `${hash}-${idMap}`;
    renameSync(fresh, join(cache.bases, key));
    return { key, size, mark: mark && join(cache.bases, key, 'users', basename(mark)) };
  } catch (error) {
    await removeLeftovers(cache, holder, log, name).catch(() => {});
    throw error;
  } finally {
    lock.release();
  }
}

export interface LayerPlace {
  readonly holder: Inside;
  readonly cache: CacheFolder;
  readonly log: Log;
  readonly signal?: AbortSignal | undefined;
}

/**
 * An expression of find(1), which follows no link. The skeleton, and what the kernel mounts, give each testbed these files
 * again. A deleted entry shows what lies below.
 */
export function notForImages(root: string, binds: readonly string[]): string[] {
  const paths = ['/dev', '/dev/*', '/etc/hostname', '/etc/hosts', '/etc/resolv.conf'];
  const scratch = ['/tmp/autopkgtest-virt.*'];
  const places = binds.flatMap((path) => {
    const parts = path.split('/').filter((part) => part !== '');
    return parts.map((_, index) => `/${parts.slice(0, index + 1).join('/')}`);
  });
  const path = (pattern: string) => ['-path', `${root}${pattern}`];
  const empty = (place: string) => ['(', ...path(place.replaceAll(/[\\*?[]/g, '\\$&')), '-empty', ')'];
  const tests = [...[...paths, ...scratch].map(path), ...[...new Set(places)].map(empty)];
  return [
    '-mindepth',
    '1',
    '(',
    ...tests.flatMap((test, i) => (i === 0 ? test : ['-o', ...test])),
    ')',
    '-delete',
  ];
}

/** The skeleton has the home of an account that it makes; a layer that has the account gets the home too. */
async function completeHome(
  tree: string,
  root: string,
  run: (argv: Argv, what: string) => Promise<string>,
): Promise<void> {
  const kind = (path: string) => {
    const there = lstatSync(join(tree, path), { throwIfNoEntry: false });
    return there === undefined ? 'missing' : there.isDirectory() ? 'directory' : 'other';
  };
  try {
    if (kind('etc') !== 'directory' || kind('etc/passwd') === 'missing') return;
    if (kind('home') === 'other' || kind('home/user') !== 'missing') return;
  } catch (error) {
    if (systemCodeOf(error) === 'EACCES') return;
    throw error;
  }
  if (kind('home') === 'missing') await run(['mkdir', '-m', '755', `${root}/home`], 'making /home');
  await run(
    [
      ...(['find', '/mnt/skeleton/home', '-mindepth', '1', '-maxdepth', '1'] as const),
      ...['-exec', 'cp', '-dR', KEEP, '-t', `${root}/home`, '--', '{}', '+'],
    ],
    'copying the home of the user',
  );
}

async function mustCopy(
  argv: Argv,
  what: string,
  lock: number,
  log: Log,
  signal: AbortSignal | undefined,
): Promise<string> {
  const child = await spawnHost(argv, log, {
    stdio: ['ignore', 'pipe', 'pipe', lock],
    env: { LC_ALL: 'C' },
    cwd: '/',
  });
  const stop = () => child.kill('SIGKILL');
  if (signal?.aborted === true) stop();
  signal?.addEventListener('abort', stop, { once: true });
  const [{ status }, output, words] = await Promise.all([
    child.exited,
    textOf(child.child.stdout),
    textOf(child.child.stderr),
  ]);
  signal?.removeEventListener('abort', stop);
  signal?.throwIfAborted();
  if (status === 0) return output;
  const full = /No space left|Disk quota exceeded/.test(words);
  throw new TestbedError(`${what} failed: ${briefWords(words) || `${argv[0]} ended with status ${status}`}`, {
    code: full ? 'CACHE_FULL' : 'COMMIT_FAILED',
    remedy: full ? cacheFullRemedy('the cache') : 'try again',
  });
}
