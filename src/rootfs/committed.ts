/** Records of committed images, images/NAME-ARCH.image: a name for a layer, and how it came about. */
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { TestbedError } from '../errors.ts';
import { notThere } from '../processes/stat.ts';
import type { CacheFolder } from './cache.ts';

const ENDING = '.image';

/** What makes an image again. */
export interface Recipe {
  /** A name of an image, a release or the path of a tarball. */
  readonly from: string;
  /** Commands for sh(1) of the parent. */
  readonly run: readonly string[];
}

export interface ImageRecord {
  /** Key of the topmost layer. */
  readonly layer: string;
  /** Name of the image, or path of the tarball, that the testbed was opened from. */
  readonly parent: string;
  /** The tarball of the base below all layers. */
  readonly tarball: string;
  readonly size: number;
  readonly made: string;
  readonly command?: readonly string[];
  readonly recipe?: Recipe;
}

export interface CommittedImage extends ImageRecord {
  readonly name: string;
  readonly path: string;
}

export function recordPath(images: string, name: string): string {
  return join(images, `${name}${ENDING}`);
}

export function committedImages(cache: CacheFolder): CommittedImage[] {
  return readdirSync(cache.images)
    .filter((entry) => entry.endsWith(ENDING) && !entry.startsWith('.'))
    .sort()
    .flatMap((entry) => readImage(join(cache.images, entry)) ?? []);
}

export function findCommitted(cache: CacheFolder, name: string): CommittedImage | undefined {
  return readImage(recordPath(cache.images, name));
}

/** @throws TestbedError when it is gone or damaged */
export function mustReadImage(path: string): CommittedImage {
  const image = readImage(path);
  if (image !== undefined) return image;
  const there = lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  throw new TestbedError(`the image ${nameOf(path)} ${there ? 'has a damaged record' : 'was removed'}`, {
    code: there ? 'IMAGE_DAMAGED' : 'IMAGE_REMOVED',
    remedy: there ? `remove ${path}, and make the image again` : 'make it again',
  });
}

function nameOf(path: string): string {
  return basename(path, ENDING);
}

/** Undefined when it is missing or damaged. @throws TestbedError when this process cannot read it now */
function readImage(path: string): CommittedImage | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isImage(value) ? { ...value, name: nameOf(path), path } : undefined;
  } catch (error) {
    // Otherwise the layers of an image would be removed because no descriptor was left.
    return notThere(error);
  }
}

function isImage(value: unknown): value is ImageRecord {
  if (typeof value !== 'object' || value === null) return false;
  const field = (name: string): unknown => Reflect.get(value, name);
  const recipe = field('recipe');
  return (
    ['layer', 'parent', 'tarball', 'made'].every((name) => typeof field(name) === 'string') &&
    typeof field('size') === 'number' &&
    (field('command') === undefined || isTexts(field('command'))) &&
    (recipe === undefined || isRecipe(recipe))
  );
}

function isRecipe(value: unknown): value is Recipe {
  if (typeof value !== 'object' || value === null) return false;
  return typeof Reflect.get(value, 'from') === 'string' && isTexts(Reflect.get(value, 'run'));
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}
