/** `rootfs build`, `update`, `import` and `export`. */
import { isatty } from 'node:tty';
import type { Words } from '../command-line/given.ts';
import { UsageError } from '../errors.ts';
import { rebuildRoot } from '../rootfs/build.ts';
import { importImage, listImages, refuseCommitted } from '../rootfs/images.ts';
import { checkRelease } from '../rootfs/known-releases.ts';
import { imageNameFor } from '../rootfs/order.ts';
import { hostArchitecture, hostRelease, resolveRelease } from '../rootfs/release.ts';
import { orderRoot, type RootOptions } from '../rootfs/source.ts';
import {
  buildImage,
  exportCommitted,
  exportTarball,
  recipeFor,
  refuseTerminal,
  withRecipes,
} from './image-commands.ts';
import {
  findCommittedImage,
  findImage,
  LIST_THEM,
  noMore,
  type RootfsCall,
  say,
  withHolder,
} from './rootfs-call.ts';

function orderOptions(words: Words): RootOptions {
  return { mirror: words.one('mirror'), bootstrapcmd: words.one('bootstrapcmd') };
}

export async function build({ names, words, cache, log, signal }: RootfsCall): Promise<number> {
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

export async function update({ names, words, cache, log, signal }: RootfsCall): Promise<number> {
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

export async function importOne({ names, words, cache, log, signal }: RootfsCall): Promise<number> {
  const [path, given, ...more] = names;
  if (path === undefined || given === undefined || more.length > 0) {
    throw new UsageError('rootfs import takes a path and a name', {
      code: more.length > 0 ? 'UNEXPECTED_WORD' : 'MISSING_WORD',
      remedy: 'give both, such as chroot.tar unstable',
    });
  }
  if (path === '-' && isatty(0)) {
    throw new UsageError('rootfs import reads a tar archive from stdin, which is a terminal', {
      code: 'WRONG_INPUT',
      remedy: `give it a file: rootfs import FILE ${given}`,
    });
  }
  const arch = words.one('arch') ?? hostArchitecture();
  const name = given.endsWith(`-${arch}`) ? given : `${given}-${arch}`;
  if (!/^[A-Za-z0-9][A-Za-z0-9+.~_-]{0,199}$/.test(name)) {
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
  refuseCommitted(cache, name);
  say(`${await importImage(cache, path, name, log, signal)}\n`);
  return 0;
}

export async function exportOne({ names, words, cache, log, signal }: RootfsCall): Promise<number> {
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
    const call = { cache, log, signal };
    await withHolder(call, (holder) => exportCommitted(committed, holder, call));
  } else throw new UsageError(`there is no image ${given}`, { code: 'NO_IMAGE', remedy: LIST_THEM });
  return 0;
}
