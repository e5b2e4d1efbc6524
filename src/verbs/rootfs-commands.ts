import type { Words } from '../command-line/given.ts';
import { parseDays, parseSize } from '../command-line/values.ts';
import { TestbedError, UsageError } from '../errors.ts';
import type { Log } from '../log.ts';
import { readCaller } from '../namespaces/caller.ts';
import { Holder } from '../namespaces/holder.ts';
import { chooseIdMaps } from '../namespaces/idmap.ts';
import { rebuildRoot } from '../rootfs/build.ts';
import type { CacheFolder } from '../rootfs/cache.ts';
import { removeCommitted } from '../rootfs/commit.ts';
import { type CommittedImage, committedImages, findCommitted } from '../rootfs/committed.ts';
import { type Image, importImage, listImages, removeImage } from '../rootfs/images.ts';
import { checkRelease } from '../rootfs/known-releases.ts';
import { imageName, imageNameFor } from '../rootfs/order.ts';
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
import { readLayers } from '../rootfs/record.ts';
import { hostArchitecture, hostRelease, resolveRelease } from '../rootfs/release.ts';
import { removeBase } from '../rootfs/remove.ts';
import { orderRoot, type RootOptions } from '../rootfs/source.ts';
import { livingUsers } from '../rootfs/users.ts';
import { verifyBase } from '../rootfs/verify.ts';
import { scratchFolderOf, sweepScratch } from '../testbed/scratch.ts';
import { showSize, showTable, showTime } from './figures.ts';
import {
  buildImage,
  exportCommitted,
  exportTarball,
  recipeFor,
  refuseTerminal,
  withRecipes,
} from './image-commands.ts';
import { age } from './ps.ts';

interface RootfsCall {
  readonly names: readonly string[];
  readonly words: Words;
  readonly cache: CacheFolder;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export const ROOTFS_COMMANDS = {
  list,
  build,
  update,
  import: importOne,
  export: exportOne,
  remove,
  prune: pruneBases,
  verify,
} as const satisfies Record<string, (call: RootfsCall) => Promise<number>>;

async function list({ names, words, cache }: RootfsCall): Promise<number> {
  noMore(names, 'rootfs list takes no words');
  const all = { images: listImages(cache), committed: committedImages(cache), bases: listBases(cache) };
  say(words.has('json') ? `${JSON.stringify(asJson(all, cache), undefined, 2)}\n` : asText(all, Date.now()));
  return 0;
}

interface All {
  readonly images: readonly Image[];
  readonly committed: readonly CommittedImage[];
  readonly bases: readonly BaseInfo[];
}

function asJson({ images, committed, bases }: All, cache: CacheFolder): unknown {
  return {
    images: [
      ...images.map(({ name, path, size, made, order }) => ({
        ...{ name, path, size, made: new Date(made).toISOString(), built: order !== undefined },
      })),
      ...committed.map(({ name, path, size, made, parent, layer, command, recipe }) => ({
        ...{ name, path, size, made, built: false, parent, layer, command, recipe },
      })),
    ],
    layers: readLayers(cache).map(({ key, folder, record }) => ({
      ...{ key, path: `${folder}/tree/root`, size: record.size, parent: record.parent },
      ...{ made: record.unpacked, users: livingUsers(folder) },
    })),
    bases: bases.map(({ key, folder, record, lastUsed, users }) => ({
      ...{ key, path: `${folder}/tree/root`, size: record.size, tarball: record.tarball },
      ...{ unpacked: record.unpacked, lastUsed: new Date(lastUsed).toISOString(), users },
    })),
  };
}

const KEY_LENGTH = 12;
const LIST_THEM = 'rootfs list shows the existing ones';

function noMore([extra]: readonly string[], remedy: string): void {
  if (extra !== undefined)
    throw new UsageError(`unexpected word ${extra}`, { code: 'UNEXPECTED_WORD', remedy });
}

function asText({ images, committed, bases }: All, now: number): string {
  const imageRows = [
    ...images.map(({ name, size, made, path }) => [name, '-', showSize(size), age(now - made), path]),
    ...committed.map(({ name, parent, size, made, path }) => [
      ...[name, parent, showSize(size), age(now - Date.parse(made)), path],
    ]),
  ];
  const baseRows = bases.map(({ key, record, lastUsed, users }) => [
    ...[key.slice(0, KEY_LENGTH), showSize(record.size), showTime(lastUsed)],
    ...[users.length === 0 ? '-' : users.join(','), record.tarball],
  ]);
  const imageTable = showTable(['IMAGE', 'PARENT', 'SIZE', 'AGE', 'PATH'], imageRows);
  const baseTable = showTable(['BASE', 'SIZE', 'LAST USED', 'USED BY', 'TARBALL'], baseRows);
  return `${imageRows.length === 0 ? 'no images\n' : imageTable}\n${bases.length === 0 ? 'no bases\n' : baseTable}`;
}

function orderOptions(words: Words): RootOptions {
  return { mirror: words.one('mirror'), bootstrapcmd: words.one('bootstrapcmd') };
}

async function build({ names, words, cache, log, signal }: RootfsCall): Promise<number> {
  const [given, ...more] = names;
  noMore(more, 'rootfs build takes one name');
  const call = { words, cache, log, signal };
  const image = recipeFor(given, call);
  if (image !== undefined) return buildImage(image, call);
  const release = given === undefined ? hostRelease() : resolveRelease(given);
  if (release === undefined) {
    throw new UsageError('this host is not a Debian system', {
      code: 'NO_RELEASE',
      remedy: 'give a release to build',
    });
  }
  checkRelease(release, orderOptions(words));
  const order = orderRoot(release, words.one('arch'), orderOptions(words));
  const { path } = await rebuildRoot(order, cache, log, signal);
  say(`${path}\n`);
  return 0;
}

async function update({ names, words, cache, log, signal }: RootfsCall): Promise<number> {
  const images = listImages(cache);
  const recipes = withRecipes(cache);
  const isRecipe = (given: string) => recipes.some(({ name }) => [given, imageNameFor(given)].includes(name));
  const chosen = names
    .filter((name) => !isRecipe(name))
    .map((name) => {
      const image = findImage(images, name);
      if (image === undefined) {
        throw new UsageError(`there is no image ${name}`, { code: 'NO_IMAGE', remedy: LIST_THEM });
      }
      if (image.order === undefined) {
        throw new UsageError(`the image ${name} was imported, not built`, {
          code: 'IMPORTED_IMAGE',
          remedy: 'import it again',
        });
      }
      return image;
    });
  if (recipes.length === 0 && images.every(({ order }) => order === undefined)) {
    log.warn('no image was built here; rootfs build builds one');
  }
  for (const { order } of names.length > 0 ? new Set(chosen) : images) {
    if (order === undefined) continue;
    const { mirror = order.mirror, bootstrapcmd = order.bootstrapCommand } = orderOptions(words);
    const again = orderRoot(order.release, order.archGiven ? order.arch : undefined, {
      mirror,
      bootstrapcmd,
    });
    const { path } = await rebuildRoot(again, cache, log, signal);
    say(`${path}\n`);
  }
  let status = 0;
  for (const image of recipes) {
    if (names.length > 0 && !names.some((name) => [name, imageNameFor(name)].includes(image.name))) continue;
    status = Math.max(status, await buildImage(image, { words, cache, log, signal }));
  }
  return status;
}

async function importOne({ names, words, cache, log, signal }: RootfsCall): Promise<number> {
  const [path, given, ...more] = names;
  if (path === undefined || given === undefined || more.length > 0) {
    throw new UsageError('rootfs import takes a path and a name', {
      code: more.length > 0 ? 'UNEXPECTED_WORD' : 'MISSING_WORD',
      remedy: 'give both, such as chroot.tar unstable',
    });
  }
  const arch = words.one('arch') ?? hostArchitecture();
  const name = given.endsWith(`-${arch}`) ? given : `${given}-${arch}`;
  if (!/^[A-Za-z0-9][A-Za-z0-9+.~_-]*$/.test(name)) {
    throw new UsageError(`${name} cannot be the name of an image`, {
      code: 'WRONG_NAME',
      remedy: 'give a name like unstable or unstable-amd64',
    });
  }
  if (listImages(cache).some((image) => image.name === name && image.order !== undefined)) {
    throw new UsageError(`the image ${name} was built here`, {
      code: 'NAME_TAKEN',
      remedy: `call rootfs remove ${name} first, or give another name`,
    });
  }
  if (findCommitted(cache, name) !== undefined) {
    throw new UsageError(`the image ${name} was committed`, {
      code: 'NAME_TAKEN',
      remedy: `call rootfs remove ${name} first, or give another name`,
    });
  }
  say(`${await importImage(cache, path, name, log, signal)}\n`);
  return 0;
}

async function exportOne({ names, words, cache, log, signal }: RootfsCall): Promise<number> {
  const [given, ...more] = names;
  noMore(more, 'rootfs export takes one name');
  if (given === undefined) {
    throw new UsageError('rootfs export needs a name', { code: 'MISSING_WORD', remedy: LIST_THEM });
  }
  refuseTerminal();
  const committed = findCommittedImage(cache, given, words.one('arch'));
  const image = committed === undefined ? findImage(listImages(cache), given) : undefined;
  if (image !== undefined) await exportTarball(image.path, log, signal);
  else if (committed !== undefined) {
    await withHolder(cache, log, (holder) => exportCommitted(committed, holder, { cache, log, signal }));
  } else throw new UsageError(`there is no image ${given}`, { code: 'NO_IMAGE', remedy: LIST_THEM });
  return 0;
}

function findCommittedImage(cache: CacheFolder, name: string, arch?: string): CommittedImage | undefined {
  return findCommitted(cache, imageNameFor(name, arch)) ?? findCommitted(cache, name);
}

async function remove({ names, cache, log }: RootfsCall): Promise<number> {
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
    await withHolder(cache, log, async (holder) => {
      for (const name of layered) await removeCommitted({ cache, holder, log }, name);
    });
  }
  for (const { image } of chosen) if (image !== undefined) await removeImage(cache, image.name, log);
  const doomed = chosen.flatMap(({ base }) => (base === undefined ? [] : [base]));
  if (doomed.length === 0) return status;
  await withHolder(cache, log, async (holder) => {
    for (const base of doomed) {
      if (base.record.idMap !== holder.idMap.key) {
        throw new TestbedError(`the base ${base.key} belongs to the ids of another user`, {
          code: 'OTHER_OWNER',
          remedy: 'remove it as that user',
        });
      }
      const needed = await withLayerLock(cache, log, async () => {
        const over = imagesOver(cache, base.key);
        return over.length > 0 ? over : (await removeBase(cache, base.key, holder, log)) ? undefined : [];
      });
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

function findImage(images: readonly Image[], name: string): Image | undefined {
  const byName = (wanted: string) => images.find((image) => image.name === wanted);
  return byName(name) ?? byName(imageName({ release: name, arch: hostArchitecture() }));
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

async function pruneBases({ names, words, cache, log }: RootfsCall): Promise<number> {
  noMore(names, 'rootfs remove takes names');
  const limits: Limits = {
    maxAge: parseDays('--max-age', words.one('max-age')) ?? DEFAULT_LIMITS.maxAge,
    maxSize: parseSize('--max-size', words.one('max-size')) ?? DEFAULT_LIMITS.maxSize,
  };
  const removed = await withHolder(cache, log, async (holder) => {
    await sweepScratch(scratchFolderOf(cache.path), holder, log);
    return prune(cache, holder, log, words.has('all') ? NO_LIMITS : limits);
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

async function verify({ names, cache, log }: RootfsCall): Promise<number> {
  const all = listBases(cache);
  const bases = names.length === 0 ? all : names.map((name) => chooseBase(all, name));
  return withHolder(cache, log, async (holder) => {
    let status = 0;
    for (const base of bases) {
      const verdict = await verifyBase(base, holder, cache, log);
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

async function withHolder<T>(cache: CacheFolder, log: Log, work: (holder: Holder) => Promise<T>): Promise<T> {
  const sources = [cache.bases, scratchFolderOf(cache.path)];
  const holder = await Holder.start({ idMap: chooseIdMaps(readCaller()), sources, log });
  try {
    return await work(holder);
  } finally {
    await holder.stop();
  }
}

function say(text: string): void {
  process.stdout.write(text);
}
