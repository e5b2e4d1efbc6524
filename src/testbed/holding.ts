/** Starts stage and holder early: the kernel makes the namespaces while Node.js loads the rest of the server. */
import { messageOf, TestbedError } from '../errors.ts';
import { makeFolders } from '../folders.ts';
import type { Log } from '../log.ts';
import { readCaller } from '../namespaces/caller.ts';
import { chooseGroups, findCgroup, type Groups } from '../namespaces/cgroups.ts';
import { Holder } from '../namespaces/holder.ts';
import { chooseIdMaps, type IdMaps } from '../namespaces/idmap.ts';
import { type CacheFolder, openCache } from '../rootfs/cache.ts';
import type { RootChoice, RootSource } from '../rootfs/source.ts';
import { checkScratchFolder, scratchFolderOf } from './scratch.ts';
import type { TestbedOptions } from './types.ts';

export interface Holding {
  readonly cache: CacheFolder;
  readonly scratchFolder: string;
  readonly source: RootSource;
  readonly holder: Promise<Holder>;
  /** Ends a start of the holder that hangs, so that `holder` rejects. */
  abandon(): void;
}

interface HoldingOptions {
  readonly options: TestbedOptions;
  readonly idMaps: IdMaps;
  readonly log: Log;
  readonly below?: number | undefined;
}

export function idMapsFor(options: TestbedOptions): IdMaps {
  const writableBind = options.binds.some(({ readOnly }) => readOnly !== true);
  return chooseIdMaps(readCaller(), { withCaller: writableBind });
}

export function preparePlaces({ options, idMaps }: Omit<HoldingOptions, 'log'>): {
  cache: CacheFolder;
  scratchFolder: string;
} {
  const cache = openCache(process.env);
  const scratchFolder = scratchFolderFor(options, cache.path);
  checkScratchFolder(scratchFolder, idMaps.single);
  return { cache, scratchFolder };
}

export function hold(
  source: RootSource,
  places: { readonly cache: CacheFolder; readonly scratchFolder: string },
  { options, idMaps, log, below }: HoldingOptions,
): Holding {
  const { cache, scratchFolder } = places;
  const bound = (wanted: boolean) =>
    options.binds.filter(({ readOnly = false }) => readOnly === wanted).map(({ outside }) => outside);
  const own = [cache.bases, scratchFolder, ...(source.kind === 'directory' ? [source.path] : [])];
  const abandoned = new AbortController();
  const holder = Holder.start({
    ...{ idMap: idMaps, log, below, groups: groupsFor(options), signal: abandoned.signal },
    ...{ sources: [...own, ...bound(false)], readOnlySources: bound(true) },
  });
  holder.catch(() => {});
  return { cache, scratchFolder, source, holder, abandon: () => abandoned.abort() };
}

/** @throws TestbedError when there is no place for them, unless the choice is `auto` */
function groupsFor({ init }: TestbedOptions): Groups | undefined {
  if (init === undefined) return undefined;
  const found = findCgroup();
  return init === 'auto' && found.path === undefined ? undefined : chooseGroups(found);
}

/** For the server. Undefined where the root filesystem is not there yet, or it fails; then the open reports the failure. */
export function holdEarly(
  source: RootChoice,
  { options, idMaps, log }: Omit<HoldingOptions, 'below'>,
): Holding | undefined {
  try {
    if (source.kind === 'build') return undefined;
    return hold(source, preparePlaces({ options, idMaps }), { options, idMaps, log });
  } catch {
    return undefined;
  }
}

function scratchFolderFor({ scratch }: TestbedOptions, cache: string): string {
  if (scratch.kind !== 'directory') return scratchFolderOf(cache);
  if (scratch.create === true) makeScratch(scratch.path);
  return scratch.path;
}

function makeScratch(path: string): void {
  try {
    makeFolders(path);
  } catch (cause) {
    throw new TestbedError(`cannot make the scratch directory: ${messageOf(cause)}`, {
      code: 'BAD_SCRATCH',
      remedy: 'name another directory',
      cause,
    });
  }
}
