/** What the commands of `rootfs` share. */
import type { Words } from '../command-line/given.ts';
import { UsageError } from '../errors.ts';
import type { Log } from '../log.ts';
import { readCaller } from '../namespaces/caller.ts';
import { Holder } from '../namespaces/holder.ts';
import { chooseIdMaps } from '../namespaces/idmap.ts';
import type { CacheFolder } from '../rootfs/cache.ts';
import { type CommittedImage, findCommitted } from '../rootfs/committed.ts';
import type { Image } from '../rootfs/images.ts';
import { imageName, imageNameFor } from '../rootfs/order.ts';
import { hostArchitecture } from '../rootfs/release.ts';
import { scratchFolderOf } from '../testbed/scratch.ts';

export interface RootfsCall {
  readonly names: readonly string[];
  readonly words: Words;
  readonly cache: CacheFolder;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export const KEY_LENGTH = 12;
export const LIST_THEM = 'rootfs list shows the existing ones';

export function noMore([extra]: readonly string[], remedy: string): void {
  if (extra !== undefined)
    throw new UsageError(`unexpected word ${extra}`, { code: 'UNEXPECTED_WORD', remedy });
}

export function findImage(images: readonly Image[], name: string): Image | undefined {
  const byName = (wanted: string) => images.find((image) => image.name === wanted);
  return byName(name) ?? byName(imageName({ release: name, arch: hostArchitecture() }));
}

export function findCommittedImage(
  cache: CacheFolder,
  name: string,
  arch?: string,
): CommittedImage | undefined {
  return findCommitted(cache, imageNameFor(name, arch)) ?? findCommitted(cache, name);
}

/** An abort ends the holder, and with it the programs that work in it. @throws the reason of an abort */
export async function withHolder<T>(
  { cache, log, signal }: Pick<RootfsCall, 'cache' | 'log' | 'signal'>,
  work: (holder: Holder) => Promise<T>,
): Promise<T> {
  const sources = [cache.bases, scratchFolderOf(cache.path)];
  const holder = await Holder.start({ idMap: chooseIdMaps(readCaller()), sources, log, signal });
  const stop = () => void holder.stop().catch(() => {});
  signal.addEventListener('abort', stop, { once: true });
  try {
    signal.throwIfAborted();
    return await work(holder);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    await holder.stop();
  }
}

export function say(text: string): void {
  process.stdout.write(text);
}
