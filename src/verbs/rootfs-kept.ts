/** `rootfs remove`, `prune` and `verify`: what the cache keeps. */
import { parseDays, parseSize } from '../command-line/values.ts';
import { TestbedError, UsageError } from '../errors.ts';
import type { CacheFolder } from '../rootfs/cache.ts';
import { removeCommitted } from '../rootfs/commit.ts';
import { committedImages } from '../rootfs/committed.ts';
import { listImages, removeImage } from '../rootfs/images.ts';
import {
  type BaseInfo,
  DEFAULT_LIMITS,
  imagesOver,
  type Limits,
  listBases,
  NO_LIMITS,
  prune,
  withLayerLock,
} from '../rootfs/prune.ts';
import { removeBase } from '../rootfs/remove.ts';
import { verifyBase } from '../rootfs/verify.ts';
import { scratchFolderOf, sweepScratch } from '../testbed/scratch.ts';
import {
  findCommittedImage,
  findImage,
  KEY_LENGTH,
  LIST_THEM,
  noMore,
  type RootfsCall,
  say,
  withHolder,
} from './rootfs-call.ts';

export async function remove({ names, cache, log, signal }: RootfsCall): Promise<number> {
  if (names.length === 0) {
    throw new UsageError('rootfs remove needs a name', { code: 'MISSING_WORD', remedy: LIST_THEM });
  }
  const bases = listBases(cache);
  const images = listImages(cache);
  const chosen = names.map((name) => {
    const committed = findCommittedImage(cache, name);
    if (committed !== undefined) return { committed };
    const image = findImage(images, name);
    return image === undefined ? { base: chooseBase(bases, name) } : { image };
  });
  let status = 0;
  const layered = chosen.flatMap(({ committed }) => (committed === undefined ? [] : [committed.name]));
  if (layered.length > 0) {
    await withHolder({ cache, log, signal }, async (holder) => {
      for (const name of layered) await removeCommitted({ cache, holder, log, signal }, name);
    });
  }
  for (const { image } of chosen) if (image !== undefined) await removeImage(cache, image.name, log, signal);
  const doomed = chosen.flatMap(({ base }) => (base === undefined ? [] : [base]));
  if (doomed.length === 0) return status;
  await withHolder({ cache, log, signal }, async (holder) => {
    for (const base of doomed) {
      if (base.record.idMap !== holder.idMap.key) {
        throw new TestbedError(`the base ${base.key} belongs to the ids of another user`, {
          code: 'OTHER_OWNER',
          remedy: 'remove it as that user',
        });
      }
      const removing = async () => {
        const over = imagesOver(cache, base.key);
        return over.length > 0 ? over : (await removeBase(cache, base.key, holder, log)) ? undefined : [];
      };
      const needed = await withLayerLock(cache, log, removing, signal);
      if (needed === undefined) continue;
      status = 1;
      if (needed.length > 0) {
        log.warn(`the base ${base.key} is a parent of the images ${needed.join(', ')}; remove these first`);
        continue;
      }
      log.warn(`the base ${base.key} is in use by ${listUsers(cache, base)}; close its testbeds first`);
    }
  });
  return status;
}

function listUsers(cache: CacheFolder, base: BaseInfo): string {
  const users = listBases(cache).find(({ key }) => key === base.key)?.users ?? [];
  return users.length === 0 ? 'a process that has just ended' : `process ${users.join(', ')}`;
}

function chooseBase(bases: readonly BaseInfo[], start: string): BaseInfo {
  const [base, ...more] = start === '' ? [] : bases.filter(({ key }) => key.startsWith(start));
  if (base === undefined) {
    throw new UsageError(`there is no image or base ${start}`, { code: 'NO_BASE', remedy: LIST_THEM });
  }
  if (more.length > 0) {
    throw new UsageError(`several bases have keys that start with ${start}`, {
      code: 'AMBIGUOUS_BASE',
      remedy: 'give more characters of the key',
    });
  }
  return base;
}

export async function pruneBases({ names, words, cache, log, signal }: RootfsCall): Promise<number> {
  noMore(names, 'rootfs remove takes names');
  const limits: Limits = {
    maxAge: parseDays('--max-age', words.one('max-age')) ?? DEFAULT_LIMITS.maxAge,
    maxSize: parseSize('--max-size', words.one('max-size')) ?? DEFAULT_LIMITS.maxSize,
  };
  const removed = await withHolder({ cache, log, signal }, async (holder) => {
    await sweepScratch(scratchFolderOf(cache.path), holder, log);
    return prune(cache, holder, log, words.has('all') ? NO_LIMITS : limits, signal);
  });
  const kept = committedImages(cache).map(({ name }) => name);
  if (words.has('all') && kept.length > 0) {
    log.warn(
      `kept the images ${kept.join(', ')} and the layers and bases that they need; rootfs remove ${kept.join(' ')} removes them`,
    );
  }
  for (const { key, record } of removed) say(`${key.slice(0, KEY_LENGTH)}  ${record.tarball}\n`);
  return 0;
}

export async function verify({ names, cache, log, signal }: RootfsCall): Promise<number> {
  const all = listBases(cache);
  const bases = names.length === 0 ? all : names.map((name) => chooseBase(all, name));
  return withHolder({ cache, log, signal }, async (holder) => {
    let status = 0;
    for (const base of bases) {
      signal.throwIfAborted();
      const verdict = await verifyBase(base, holder, cache, log, signal);
      const key = base.key.slice(0, KEY_LENGTH);
      if (verdict.kind === 'same') say(`${key}  the same as its tarball\n`);
      else if (verdict.kind === 'unknown') say(`${key}  cannot be compared: ${verdict.why}\n`);
      else {
        status = 1;
        say(`${key}  different; after rootfs remove ${key} the next testbed unpacks it again\n`);
        for (const line of verdict.differences) say(`    ${line}\n`);
      }
    }
    return status;
  });
}
