/** Which root filesystem a testbed starts from. It runs before the first `ok`, so it only reads files. */
import { closeSync, existsSync, openSync, readdirSync, readSync, type Stats, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { reasonOf, UsageError } from '../errors.ts';
import { executionOf } from '../namespaces/execution.ts';
import { machineNamed } from '../namespaces/machines.ts';
import { option } from '../option-words.ts';
import { findProgram } from '../processes/find.ts';
import { cacheHome, cachePath, type Environment } from './cache.ts';
import { recordPath } from './committed.ts';
import { type Compression, chooseDecompressor, compressionOf, HEADER_SIZE } from './compression.ts';
import { checkRelease } from './known-releases.ts';
import { imageName, PACKAGES, type RootOrder, readOrder, serves } from './order.ts';
import { hostArchitecture, hostRelease, resolveRelease } from './release.ts';
import { whyNoRoot } from './tree.ts';
import { EMPTY_COMMAND, EMPTY_COMMAND_FACTS, splitWords } from './words.ts';

export interface RootSource {
  /** `image`: a committed one, whose record is at `path`. */
  readonly kind: 'tarball' | 'directory' | 'image';
  readonly path: string;
}

export type RootChoice = RootSource | RootOrder;

export interface RootOptions {
  readonly tarball?: string | undefined;
  readonly rootfs?: string | undefined;
  readonly release?: string | undefined;
  readonly arch?: string | undefined;
  readonly mirror?: string | undefined;
  readonly bootstrapcmd?: string | undefined;
}

/**
 * In this order: --tarball; --rootfs, a directory or the name of an image; a committed image; $XDG_CACHE_HOME/sbuild/RELEASE-ARCH.t*;
 * an image of the cache, unless another mirror or command is named; else an order to build one. Without --release the host's release is meant, but any tarball of sbuild
 * is better than building.
 * @throws UsageError when the options or the chosen file are wrong
 */
export function chooseRoot(options: RootOptions, env: Environment): RootChoice {
  if (options.tarball !== undefined && options.rootfs !== undefined) {
    throw new UsageError('--tarball and --rootfs both name a root filesystem', {
      code: 'WRONG_OPTION',
      remedy: 'give one of them',
    });
  }
  if (options.tarball !== undefined) return tarballSource(options.tarball);
  const arch = options.arch ?? hostArchitecture();
  if (options.rootfs !== undefined)
    return imageNamed(options.rootfs, arch, env) ?? directorySource(options.rootfs);
  const committed = options.release === undefined ? undefined : committedImage(options.release, arch, env);
  if (committed !== undefined) return committed;
  checkExecutable(arch);
  const release = options.release === undefined ? hostRelease() : resolveRelease(options.release);
  const sbuild = join(cacheHome(env), 'sbuild');
  const images = join(cachePath(env), 'images');
  const found =
    (release === undefined ? undefined : newestTarball(sbuild, `${release}-${arch}`)) ??
    (options.release === undefined ? newestTarball(sbuild, undefined, arch) : undefined) ??
    (release === undefined ? undefined : imageThatServes(images, imageName({ release, arch }), options)) ??
    // rootfs list shows names with the architecture.
    (options.release?.endsWith(`-${arch}`) ? imageThatServes(images, options.release, options) : undefined);
  if (found !== undefined) return tarballSource(found);
  if (release === undefined) {
    throw new UsageError('there is no root filesystem, and the host is not a Debian system', {
      code: 'NO_ROOT_FILESYSTEM',
      remedy: `give ${option('release')} or ${option('tarball')}`,
    });
  }
  checkRelease(release, options, imageNames(images, arch));
  return orderRoot(release, options.arch, options);
}

/** A name without a slash that is no file: `rootfs: 'name'`. */
export function imageNamed(name: string, arch: string, env: Environment): RootSource | undefined {
  if (name.includes('/') || existsSync(name)) return undefined;
  const committed = committedImage(name, arch, env);
  if (committed !== undefined) return committed;
  const images = join(cachePath(env), 'images');
  const path = newestTarball(images, name) ?? newestTarball(images, imageName({ release: name, arch }));
  return path === undefined ? undefined : tarballSource(path);
}

function committedImage(name: string, arch: string, env: Environment): RootSource | undefined {
  if (name.includes('/')) return undefined;
  const images = join(cachePath(env), 'images');
  const path = [imageName({ release: name, arch }), name]
    .map((each) => recordPath(images, each))
    .find((each) => existsSync(each));
  return path === undefined ? undefined : { kind: 'image', path };
}

export function imageThatServes(
  images: string,
  name: string,
  { mirror, bootstrapcmd }: Pick<RootOptions, 'mirror' | 'bootstrapcmd'>,
): string | undefined {
  const wanted = { mirror, bootstrapCommand: bootstrapcmd };
  return serves(readOrder(images, name), wanted) ? newestTarball(images, name) : undefined;
}

export function orderRoot(release: string, givenArch: string | undefined, options: RootOptions): RootOrder {
  const arch = givenArch ?? hostArchitecture();
  checkName(option('release'), release);
  checkName(option('arch'), arch);
  if (options.bootstrapcmd === undefined) checkNotOfKernel(arch);
  checkExecutable(arch);
  const { mirror, bootstrapcmd } = options;
  if (bootstrapcmd === undefined) {
    if (findProgram('mmdebstrap') === undefined) {
      throw new UsageError(`there is no root filesystem of ${release}, and no mmdebstrap to make one`, {
        code: 'NO_ROOT_FILESYSTEM',
        remedy: `install the package mmdebstrap, or give ${option('tarball')}`,
      });
    }
  } else {
    const [program] = splitWords(bootstrapcmd);
    if (program === undefined) throw new UsageError(EMPTY_COMMAND, EMPTY_COMMAND_FACTS);
    if (!program.includes('/') && findProgram(program) === undefined) {
      throw new UsageError(`--bootstrapcmd: there is no program ${program}`, {
        code: 'NO_PROGRAM',
        remedy: 'install it, or correct PATH',
      });
    }
  }
  const archGiven = givenArch !== undefined;
  const packages = bootstrapcmd === undefined ? PACKAGES : [];
  return { kind: 'build', release, arch, archGiven, mirror, bootstrapCommand: bootstrapcmd, packages };
}

/** @throws UsageError when the programs of an architecture cannot run here */
function checkExecutable(arch: string): void {
  const machine = machineNamed(arch);
  if (machine === undefined) return;
  const execution = executionOf(machine, hostArchitecture());
  if (execution.kind !== 'none') return;
  throw new UsageError(`--arch ${arch}: ${execution.why}`, {
    code: 'NO_EMULATION',
    remedy: execution.remedy,
  });
}

/** The kernel's names (uname -m) of architectures that have another one in Debian. */
const OF_KERNEL: Readonly<Record<string, string>> = {
  ...{ x86_64: 'amd64', x64: 'amd64', aarch64: 'arm64', i686: 'i386', x86: 'i386' },
  ...{ armv7l: 'armhf', ppc64le: 'ppc64el', loongarch64: 'loong64' },
};

/** @throws UsageError */
export function checkNotOfKernel(arch: string): void {
  const meant = Object.hasOwn(OF_KERNEL, arch) ? OF_KERNEL[arch] : undefined;
  if (meant === undefined) return;
  throw new UsageError(
    `${option('arch')} ${arch} is not Debian's name of an architecture (did you mean ${meant})`,
    {
      code: 'WRONG_VALUE',
      remedy: `give ${meant}`,
    },
  );
}

/** Both become parts of a file name and arguments of a program. */
function checkName(option: string, value: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9+.~_-]{0,199}$/.test(value)) {
    throw new UsageError(`${option} ${value} is not the name of a release or an architecture`, {
      code: 'WRONG_VALUE',
      remedy: 'give one like bookworm or amd64',
    });
  }
}

export function checkRoot(path: string): RootSource {
  return look('root filesystem', resolve(path)).isDirectory() ? directorySource(path) : tarballSource(path);
}

function tarballSource(given: string): RootSource {
  const path = resolve(given);
  const stats = look('tarball', path);
  if (!stats.isFile()) {
    throw new UsageError(
      `the tarball ${path} is ${stats.isDirectory() ? 'a directory' : 'not a regular file'}`,
      {
        code: 'BAD_TARBALL',
        remedy: stats.isDirectory() ? `give it with ${option('rootfs')}` : 'give a file',
      },
    );
  }
  const compression = compressionOfFile(path);
  if (compression === undefined) {
    throw new UsageError(`${path} is not a tarball (tar, plain or compressed by gzip, bzip2, xz or zstd)`, {
      code: 'BAD_TARBALL',
      remedy: 'give one that mmdebstrap made',
    });
  }
  const choice = chooseDecompressor(compression);
  if (!choice.found) {
    throw new UsageError(`unpacking ${path} needs ${choice.program}`, {
      code: 'NO_PROGRAM',
      remedy: `install the package ${choice.package}`,
    });
  }
  return { kind: 'tarball', path };
}

/** Undefined when the file is no tarball. @throws UsageError when it cannot be read */
export function compressionOfFile(path: string): Compression | undefined {
  return compressionOf(readHeader(path));
}

function readHeader(path: string): Buffer {
  const header = Buffer.alloc(HEADER_SIZE);
  try {
    const fd = openSync(path, 'r');
    try {
      return header.subarray(0, readSync(fd, header, 0, HEADER_SIZE, 0));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new UsageError(`cannot read the tarball ${path}: ${reasonOf(error)}`, {
      code: 'CANNOT_READ',
      remedy: 'make it readable',
      cause: error,
    });
  }
}

function directorySource(given: string): RootSource {
  const path = resolve(given);
  if (!look('root filesystem', path).isDirectory()) {
    throw new UsageError(`the root filesystem ${path} is not a directory`, {
      code: 'NO_ROOT_FILESYSTEM',
      remedy: `give a tarball with ${option('tarball')}`,
    });
  }
  const why = whyNoRoot(path);
  if (why !== undefined) {
    throw new UsageError(`the directory ${path} does not hold a root filesystem: ${why}`, {
      code: 'NO_ROOT_FILESYSTEM',
      remedy: 'name a directory with a whole system, as mmdebstrap makes one',
    });
  }
  return { kind: 'directory', path };
}

function look(what: string, path: string): Stats {
  try {
    return statSync(path);
  } catch (error) {
    throw new UsageError(`cannot find the ${what} ${path}: ${reasonOf(error)}`, {
      code: 'NO_FILE',
      remedy: 'give one that exists',
      cause: error,
    });
  }
}

/** As they are given to --release. */
function imageNames(images: string, arch: string): string[] {
  let entries: string[];
  try {
    entries = readdirSync(images);
  } catch {
    return [];
  }
  const ending = `-${arch}`;
  return entries.flatMap((entry) => {
    const [, stem = ''] = TARBALL_NAME.exec(entry) ?? /^([^.].*)\.json$/.exec(entry) ?? [];
    return stem.endsWith(ending) ? [stem.slice(0, -ending.length)] : [];
  });
}

export const TARBALL_NAME = /^([^.].*?)\.t(?:ar(?:\.(?:gz|bz2|xz|zst|lz4|lz))?|gz|bz2?|xz|zst)$/;

export function newestTarball(folder: string, name: string | undefined, arch = ''): string | undefined {
  let entries: string[];
  try {
    entries = readdirSync(folder);
  } catch {
    return undefined;
  }
  let newest: { path: string; time: number } | undefined;
  for (const entry of entries) {
    const [, stem] = TARBALL_NAME.exec(entry) ?? [];
    if (stem === undefined || !(name === undefined ? stem.endsWith(`-${arch}`) : stem === name)) continue;
    const path = join(folder, entry);
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats?.isFile() !== true) continue;
    if (newest === undefined || stats.mtimeMs > newest.time) newest = { path, time: stats.mtimeMs };
  }
  return newest?.path;
}
