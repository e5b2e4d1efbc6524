/** The layers of a committed image and the base below them. */
import { join } from 'node:path';
import { TestbedError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { CacheFolder } from './cache.ts';
import { committedImages, mustReadImage } from './committed.ts';
import { type Base, inUse } from './known-base.ts';
import { isLayer, readLayers, readRecord } from './record.ts';
import type { RootSource } from './source.ts';
import type { Inside } from './unpack.ts';

/** More than the kernel takes: a record that names itself ends here. */
const MOST = 1000;

/** Keys from a layer down to its base, which need not be there. */
export function keysBelow(cache: CacheFolder, top: string): string[] {
  const keys: string[] = [];
  for (let key: string | undefined = top; key !== undefined && keys.length < MOST; ) {
    keys.push(key);
    const record = readRecord(join(cache.bases, key));
    key = record !== undefined && isLayer(record) ? record.parent : undefined;
  }
  return keys;
}

/**
 * Keys of layers and bases that may not be removed: those of images, and what lies below a layer that is in use.
 * @param used the keys of those in use
 */
export function keptKeys(cache: CacheFolder, used: readonly string[]): Set<string> {
  const layers = new Set(readLayers(cache).map(({ key }) => key));
  const tops = [
    ...committedImages(cache).map(({ layer }) => layer),
    ...used.filter((key) => layers.has(key)),
  ];
  return new Set(tops.flatMap((key) => keysBelow(cache, key)));
}

/** Undefined when the base has to be unpacked again. @throws TestbedError */
export async function findStack(
  source: RootSource,
  idMap: string,
  cache: CacheFolder,
): Promise<Base | undefined> {
  return useStack(source, idMap, cache);
}

/** Unpacks the base again that lies below an image. @throws TestbedError */
export async function remakeStack(
  source: RootSource,
  holder: Inside,
  cache: CacheFolder,
  log: Log,
  signal: AbortSignal | undefined,
): Promise<Base> {
  const { name, tarball } = mustReadImage(source.path);
  const { makeBase } = await import('./make-base.ts');
  const base = await makeBase(tarball, holder, cache, log, signal);
  try {
    const stack = useStack(source, holder.idMap.key, cache);
    if (stack !== undefined) return stack;
    throw new TestbedError(
      `the image ${name} is a layer over the tarball ${tarball}, which has changed since`,
      {
        code: 'TARBALL_CHANGED',
        remedy: `put the old one back, or make the image again (rootfs build ${name}, if it has a recipe)`,
      },
    );
  } finally {
    await base.release();
  }
}

function useStack(source: RootSource, idMap: string, cache: CacheFolder): Base | undefined {
  const image = mustReadImage(source.path);
  if (!image.layer.endsWith(`-${idMap}`)) {
    throw new TestbedError(`the image ${image.name} was committed with other user and group ids`, {
      code: 'OTHER_OWNER',
      remedy: 'export and import it as the user that made it',
    });
  }
  const keys = keysBelow(cache, image.layer);
  const found: Base[] = [];
  for (const key of keys) {
    const one = inUse(cache, key);
    if (one !== undefined) found.push(one);
  }
  const release = async () => {
    for (const one of found) await one.release();
  };
  const missing = keys.find((key) => !found.some(({ keys: [one] }) => one === key));
  const base = found.at(-1);
  if (missing === undefined && base !== undefined) {
    return { path: base.path, layers: found.map(({ path }) => path), keys, release };
  }
  void release();
  if (missing === keys.at(-1) && keys.length > 1) return undefined;
  // A process that has replaced the image may have removed the old layers meanwhile.
  if (mustReadImage(source.path).layer !== image.layer) return useStack(source, idMap, cache);
  throw new TestbedError(`a layer of the image ${image.name} was deleted from the cache`, {
    code: 'CACHE_DELETED',
    remedy: `make the image again; rootfs remove ${image.name} removes what is left of it`,
  });
}
