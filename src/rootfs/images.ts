/**
 * The images of the cache: root filesystems as tarballs, RELEASE-ARCH.tar, .tar.zst, …, each with RELEASE-ARCH.json, the
 * order that it was built by. A process that changes an image holds its lock.
 */
import {
  constants,
  copyFileSync,
  createReadStream,
  createWriteStream,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { reasonOf, systemCodeOf, TestbedError, UsageError } from '../errors.ts';
import { spawnHost, textOf } from '../host.ts';
import { type Log, printable } from '../log.ts';
import { findProgram } from '../processes/find.ts';
import { startProgress } from '../progress-line.ts';
import { scarceRemedy } from '../scarce.ts';
import { type CacheFolder, writeWhole } from './cache.ts';
import { cacheFullRemedy } from './cache-failure.ts';
import { findCommitted } from './committed.ts';
import type { Compression } from './compression.ts';
import { type Lock, waitLock } from './lock.ts';
import { type ContainerImage, findContainerImage, importContainerImage } from './oci/container-image.ts';
import { orderPath, type RootOrder, readOrder } from './order.ts';
import { checkRoot, compressionOfFile, type RootSource, TARBALL_NAME } from './source.ts';

export interface Image {
  readonly name: string;
  readonly path: string;
  readonly size: number;
  readonly made: number;
  readonly order: RootOrder | undefined;
}

export function listImages(cache: CacheFolder): Image[] {
  return readdirSync(cache.images)
    .flatMap((entry) => {
      const name = TARBALL_NAME.exec(entry)?.[1];
      if (name === undefined) return [];
      const path = join(cache.images, entry);
      const stats = statSync(path, { throwIfNoEntry: false });
      // Another process has just replaced it, or it is a link to nothing.
      if (stats?.isFile() !== true) return [];
      return [{ name, path, size: stats.size, made: stats.mtimeMs, order: readOrder(cache.images, name) }];
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Lets `make` write an image and replaces the old one atomically.
 * @param make gets the path without its ending, and the lock's descriptor for a child; gives the ending, or undefined for no
 * image
 */
export async function putImage(
  cache: CacheFolder,
  name: string,
  order: RootOrder | undefined,
  log: Log,
  signal: AbortSignal | undefined,
  make: (stem: string, lock: number) => Promise<string | undefined>,
): Promise<string | undefined> {
  const lock = await lockImage(cache, name, log, signal);
  const stem = join(cache.images, `.${name}.${process.pid}`);
  try {
    // Perhaps while this process waited.
    refuseCommitted(cache, name);
    // Parts that a killed process left; this one holds the lock.
    removeParts(cache, name);
    const ending = await make(stem, lock.fd);
    if (ending === undefined) return undefined;
    const path = join(cache.images, `${name}.${ending}`);
    renameSync(`${stem}.${ending}`, path);
    if (order === undefined) rmSync(orderPath(cache.images, name), { force: true });
    else writeWhole(orderPath(cache.images, name), `${JSON.stringify(order)}\n`);
    for (const image of listImages(cache)) if (image.name === name && image.path !== path) rmSync(image.path);
    return path;
  } finally {
    removeParts(cache, name);
    lock.release();
  }
}

function removeParts(cache: CacheFolder, name: string): void {
  for (const entry of readdirSync(cache.images)) {
    if (entry.startsWith(`.${name}.`)) rmSync(join(cache.images, entry), { force: true });
  }
}

/** Else a name would have two images. A commit holds the lock too. @throws UsageError */
export function refuseCommitted(cache: CacheFolder, name: string): void {
  if (findCommitted(cache, name) === undefined) return;
  throw new UsageError(`the image ${name} was committed`, {
    code: 'NAME_TAKEN',
    remedy: `call rootfs remove ${name} first, or give another name`,
  });
}

export async function lockImage(
  cache: CacheFolder,
  name: string,
  log: Log,
  signal?: AbortSignal,
): Promise<Lock> {
  const what = `waiting for another process that makes ${name}`;
  const progress = startProgress(what, { log, plain: what });
  return waitLock(join(cache.locks, `image-${name}`), log, signal).finally(progress.done);
}

/** Gives whether there was one. Bases that were unpacked from it stay until they are pruned. */
export async function removeImage(
  cache: CacheFolder,
  name: string,
  log: Log,
  signal?: AbortSignal,
): Promise<boolean> {
  const lock = await lockImage(cache, name, log, signal);
  try {
    const images = listImages(cache).filter((image) => image.name === name);
    for (const image of images) rmSync(image.path);
    rmSync(orderPath(cache.images, name), { force: true });
    return images.length > 0;
  } finally {
    lock.release();
  }
}

const ENDINGS: Readonly<Record<Compression, string>> = {
  none: 'tar',
  gzip: 'tar.gz',
  bzip2: 'tar.bz2',
  xz: 'tar.xz',
  zstd: 'tar.zst',
  lz4: 'tar.lz4',
  lzip: 'tar.lz',
};

/** Gives the path. @throws UsageError when `source` is no root filesystem */
export async function importImage(
  cache: CacheFolder,
  given: string,
  name: string,
  log: Log,
  signal?: AbortSignal,
): Promise<string> {
  const arch = name.slice(name.lastIndexOf('-') + 1);
  const container = given === '-' ? undefined : await findContainerImage(given, log);
  const make =
    given === '-'
      ? ofStdin(arch, log, signal)
      : container === undefined
        ? ofRoot(checkRoot(given), log, signal)
        : ofContainer(container, arch, log, signal);
  const path = await putImage(cache, name, undefined, log, signal, make);
  if (path === undefined)
    throw new TestbedError(`importing ${given} made nothing`, { code: 'IMPORT_FAILED', remedy: 'try again' });
  return path;
}

type Make = (stem: string, lock: number) => Promise<string>;

function ofRoot(source: RootSource, log: Log, signal: AbortSignal | undefined): Make {
  return (stem, lock) =>
    source.kind === 'tarball'
      ? copyTarball(source.path, stem, log, signal)
      : packFolder(source, stem, lock, log, signal);
}

function ofStdin(arch: string, log: Log, signal: AbortSignal | undefined): Make {
  return async (stem, lock) => {
    await writing('stdin', process.stdin, stem, signal);
    const container = await findContainerImage(stem, log);
    if (container !== undefined) return ofContainer(container, arch, log, signal)(stem, lock);
    const compression = compressionOfFile(stem);
    if (compression === undefined) {
      throw new UsageError('stdin is not a tar archive', {
        code: 'BAD_TARBALL',
        remedy: 'write a tar archive to it, compressed or not',
      });
    }
    renameSync(stem, `${stem}.${ENDINGS[compression]}`);
    return ENDINGS[compression];
  };
}

function ofContainer(image: ContainerImage, arch: string, log: Log, signal: AbortSignal | undefined): Make {
  return (stem, lock) => importContainerImage(image, stem, lock, { arch, log, signal });
}

async function copyTarball(
  path: string,
  stem: string,
  log: Log,
  signal: AbortSignal | undefined,
): Promise<string> {
  const ending = ENDINGS[compressionOfFile(path) ?? 'none'];
  const target = `${stem}.${ending}`;
  if (isCloned(path, target)) return ending;
  const progress = startProgress(`copying ${path}`, { log });
  try {
    await writing(path, createReadStream(path, { highWaterMark: 1 << 20 }), target, signal);
  } finally {
    progress.done();
  }
  return ending;
}

/** Whether the file system shares the blocks of the file with a new one. */
function isCloned(path: string, target: string): boolean {
  try {
    copyFileSync(path, target, constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch {
    return false;
  }
}

/** @throws the reason of the signal, TestbedError */
async function writing(
  what: string,
  source: Readable,
  target: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await pipeline(source, createWriteStream(target), signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw new TestbedError(`copying ${what} failed: ${reasonOf(error)}`, {
      code: 'IMPORT_FAILED',
      remedy: ['ENOSPC', 'EDQUOT'].includes(systemCodeOf(error) ?? '')
        ? cacheFullRemedy(target)
        : (scarceRemedy(systemCodeOf(error)) ?? 'make it readable'),
      cause: error,
    });
  }
}

async function packFolder(
  source: RootSource,
  stem: string,
  lock: number,
  log: Log,
  signal: AbortSignal | undefined,
): Promise<string> {
  const zstd = findProgram('zstd') !== undefined;
  const ending = zstd ? ENDINGS.zstd : ENDINGS.none;
  // Files that an ordinary user has unpacked belong to that user, but are meant to belong to root.
  const owners = process.geteuid?.() === 0 ? ['--numeric-owner'] : ['--owner=0', '--group=0'];
  const progress = startProgress(`packing ${source.path}`, { log });
  try {
    const tar = await spawnHost(
      [
        // It has the lock, so it must end with this process, also when that is killed.
        ...(['setpriv', '--pdeathsig=KILL', '--', 'tar', '--create'] as const),
        ...[`--file=${stem}.${ending}`, `--directory=${source.path}`],
        ...(zstd ? ['--use-compress-program=zstd -T0 -q'] : []),
        ...['--one-file-system', '--sparse', '--xattrs', '--xattrs-include=*', ...owners, '.'],
      ],
      log,
      { stdio: ['ignore', 'ignore', 'pipe', lock], env: { LC_ALL: 'C' } },
    );
    const stop = () => tar.kill('SIGKILL');
    signal?.addEventListener('abort', stop, { once: true });
    const [{ status }, words] = await Promise.all([tar.exited, textOf(tar.child.stderr)]);
    signal?.removeEventListener('abort', stop);
    signal?.throwIfAborted();
    if (status !== 0) {
      const why = printable(words)
        .split('\n')
        .find((line) => line !== '' && !line.includes('socket ignored'));
      const remedy = why?.includes('Permission denied')
        ? 'import it as the user whose files they are'
        : /No space left|Disk quota exceeded/.test(why ?? '')
          ? cacheFullRemedy(stem)
          : /file changed as we read it|File removed before we read it/.test(why ?? '')
            ? 'import it while no process writes there'
            : 'make the file that it names readable';
      throw new TestbedError(`packing ${source.path} failed: ${why ?? `tar ended with status ${status}`}`, {
        code: 'IMPORT_FAILED',
        remedy,
      });
    }
    return ending;
  } finally {
    progress.done();
  }
}
