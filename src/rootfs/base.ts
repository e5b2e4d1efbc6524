/** From a root source to a base; one in the cache costs reading a few files. */
import { statSync } from 'node:fs';
import { messageOf, reasonOf, TestbedError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { CacheFolder } from './cache.ts';
import { cacheFailure } from './cache-failure.ts';
import { rememberedHash, stateOf } from './identity.ts';
import { baseKey } from './keys.ts';
import { type Base, inUse } from './known-base.ts';
import { hasLeftovers } from './record.ts';
import type { RootSource } from './source.ts';
import { findStack, remakeStack } from './stack.ts';
import type { Inside } from './unpack.ts';

/** The base of a source if nothing has to be unpacked. It is not pruned before `release`. @throws TestbedError */
export async function findBase(
  source: RootSource,
  idMap: string,
  cache: CacheFolder,
): Promise<Base | undefined> {
  if (source.kind === 'directory') {
    const { path } = source;
    return { path, layers: [path], keys: [], release: async () => {} };
  }
  if (source.kind === 'image') return findStack(source, idMap, cache);
  const state = stateOf(statOf(source.path));
  const sha256 = await rememberedHash(cache, source.path, state);
  return sha256 === undefined ? undefined : inUse(cache, baseKey(sha256, idMap));
}

/** The base of a source, unpacked if needed, and not pruned before `release`. @throws TestbedError */
export async function useBase(
  source: RootSource,
  holder: Inside,
  cache: CacheFolder,
  log: Log,
  signal?: AbortSignal,
  finding = findBase(source, holder.idMap.key, cache),
): Promise<Base> {
  try {
    return await findOrMake(source, holder, cache, log, signal, finding);
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw cacheFailure(cache, error);
  }
}

async function findOrMake(
  source: RootSource,
  holder: Inside,
  cache: CacheFolder,
  log: Log,
  signal: AbortSignal | undefined,
  finding: Promise<Base | undefined>,
): Promise<Base> {
  const there = await finding;
  if (there !== undefined) {
    if (source.kind === 'directory' || !hasLeftovers(cache)) return there;
    const { removeLeftovers } = await import('./remove.ts');
    return tidying(there, log, () => removeLeftovers(cache, holder, log));
  }
  // Most opens find what they need, and do not load this.
  const [{ makeBase }, { DEFAULT_LIMITS, prune }] = await Promise.all([
    import('./make-base.ts'),
    import('./prune.ts'),
  ]);
  const made =
    source.kind === 'image'
      ? await remakeStack(source, holder, cache, log, signal)
      : await makeBase(source.path, holder, cache, log, signal);
  return tidying(made, log, (ending) => prune(cache, holder, log, DEFAULT_LIMITS, ending));
}

/** @param work ends at the signal when it waits for another process */
function tidying(base: Base, log: Log, work: (signal: AbortSignal) => Promise<unknown>): Base {
  const ending = new AbortController();
  const done = work(ending.signal).catch((error) =>
    log.debug(`tidying the cache failed: ${messageOf(error)}`),
  );
  return {
    ...base,
    release: async () => {
      ending.abort();
      await done;
      await base.release();
    },
  };
}

function statOf(path: string) {
  try {
    return statSync(path, { bigint: true });
  } catch (error) {
    throw new TestbedError(`cannot find the tarball ${path}: ${reasonOf(error)}`, {
      code: 'NO_FILE',
      remedy: 'put it back',
      cause: error,
    });
  }
}
