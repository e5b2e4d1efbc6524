/** Building a root filesystem of a release, kept as an image in the cache. */
import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { TestbedError, UsageError } from '../errors.ts';
import { type Argv, spawnHost } from '../host.ts';
import type { Log } from '../log.ts';
import { findProgram } from '../namespaces/caller.ts';
import { startProgress } from '../progress.ts';
import { readAptIndexes, sourceLines } from './apt.ts';
import type { CacheFolder } from './cache.ts';
import { waitLock } from './lock.ts';
import { osReleaseValue, readOsRelease } from './release.ts';
import { newestTarball, type RootChoice, type RootOrder, type RootSource } from './source.ts';
import { splitWords } from './words.ts';

/** The keyring of Debian's archives: the package debian-archive-keyring has it, on the host and in what is built. */
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Lines of a failed command's stderr that its error message repeats. */
const LAST_LINES = 5;

/**
 * The source to unpack: what was chosen, or, for an order, the image that is built now or that another process has built
 * while we waited for it.
 * @throws TestbedError when it cannot be built, with the last words of the command
 */
export async function provideRoot(
  choice: RootChoice,
  cache: CacheFolder,
  log: Log,
  signal?: AbortSignal,
): Promise<RootSource> {
  if (choice.kind !== 'build') return choice;
  const name = `${choice.release}-${choice.arch}`;
  const progress = startProgress(`waiting for another process that builds ${name}`);
  const lock = await waitLock(join(cache.locks, `build-${name}`), log, signal).finally(progress.done);
  signal?.throwIfAborted();
  if (lock === undefined)
    throw new TestbedError(`waiting for another process to build ${name} failed; try again`);
  try {
    const path =
      newestTarball(cache.images, name) ?? (await build(choice, name, lock.fd, cache, log, signal));
    return { kind: 'tarball', path };
  } finally {
    lock.release();
  }
}

/** Builds the image anew, whether there is one or not, and puts it in the place of the old one. */
export async function rebuildRoot(
  order: RootOrder,
  cache: CacheFolder,
  log: Log,
  signal?: AbortSignal,
): Promise<RootSource> {
  const name = `${order.release}-${order.arch}`;
  const lock = await waitLock(join(cache.locks, `build-${name}`), log, signal);
  signal?.throwIfAborted();
  if (lock === undefined)
    throw new TestbedError(`waiting for another process to build ${name} failed; try again`);
  try {
    return { kind: 'tarball', path: await build(order, name, lock.fd, cache, log, signal) };
  } finally {
    lock.release();
  }
}

async function build(
  order: RootOrder,
  name: string,
  lock: number,
  cache: CacheFolder,
  log: Log,
  signal: AbortSignal | undefined,
): Promise<string> {
  // What a build that was killed left: nobody works on it, for we hold the lock.
  for (const entry of readdirSync(cache.images)) {
    if (entry.startsWith(`.${name}.`)) rmSync(join(cache.images, entry), { force: true });
  }
  const own = order.bootstrapCommand === undefined;
  const ending = own && findProgram('zstd') !== undefined ? 'tar.zst' : 'tar';
  const target = join(cache.images, `.${name}.${process.pid}.${ending}`);
  const lines =
    own && order.mirror === undefined
      ? sourceLines(
          await readAptIndexes(log),
          order.release,
          origin(),
          existsSync(KEYRING) ? KEYRING : undefined,
        )
      : [];
  try {
    await runBuild(bootstrapArgv(order, target, lines, process.geteuid?.() === 0), name, lock, log, signal);
    if (statSync(target, { throwIfNoEntry: false })?.isFile() !== true) {
      throw new TestbedError(`building ${name} made no tarball ${target}; the command has to write one`);
    }
    const path = join(cache.images, `${name}.${ending}`);
    renameSync(target, path);
    for (const entry of readdirSync(cache.images)) {
      // An older one of another compression.
      if (entry.startsWith(`${name}.t`) && entry !== `${name}.${ending}`) rmSync(join(cache.images, entry));
    }
    return path;
  } finally {
    rmSync(target, { force: true });
  }
}

/** How the archives of the host's distribution call their origin: Debian, Ubuntu, … */
function origin(): string {
  const id = osReleaseValue(readOsRelease(), 'ID') ?? 'debian';
  return id.charAt(0).toUpperCase() + id.slice(1);
}

/**
 * The command that makes `target`. Its own words come first, then, as autopkgtest-virt-unshare 6.0 appends them,
 * `--arch=ARCH`, the release, the target and the mirror.
 * @param lines of sources.list(5), used when there is no mirror
 */
export function bootstrapArgv(
  order: RootOrder,
  target: string,
  lines: readonly string[],
  asRoot: boolean,
): Argv {
  const own = ownCommand(asRoot, lines);
  const [file, ...args] = order.bootstrapCommand === undefined ? own : splitWords(order.bootstrapCommand);
  if (file === undefined) throw new UsageError('--bootstrapcmd is empty; give a command like mmdebstrap');
  const mirrors = order.mirror === undefined ? lines : [order.mirror];
  return [file, ...args, `--arch=${order.arch}`, order.release, target, ...mirrors];
}

/** apt and its package lists are what a driver needs; the sources are for tests of a package by name. */
function ownCommand(asRoot: boolean, lines: readonly string[]): string[] {
  const command = [
    'mmdebstrap',
    `--mode=${asRoot ? 'root' : 'unshare'}`,
    '--variant=apt',
    '--skip=output/mknod,cleanup/apt/lists',
  ];
  if (lines.some((line) => line.includes('https://'))) command.push('--include=ca-certificates');
  if (lines.length === 0) {
    // Without lines of ours there are none for the sources yet.
    command.push(
      '--customize-hook=sed -n "s/^deb /deb-src /p" "$1/etc/apt/sources.list" >"$1/etc/apt/sources.list.d/src.list" && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get update',
    );
  }
  return command;
}

async function runBuild(
  argv: Argv,
  name: string,
  lock: number,
  log: Log,
  signal: AbortSignal | undefined,
): Promise<void> {
  const last: string[] = [];
  const progress = startProgress(`building ${name}`, { note: () => last.at(-1) });
  try {
    const child = await spawnHost(argv, log, { stdio: ['ignore', 'ignore', 'pipe', lock] });
    const stop = () => child.kill('SIGTERM');
    if (signal?.aborted === true) stop();
    signal?.addEventListener('abort', stop, { once: true });
    const heard = hear(child.child.stderr, (line) => {
      log.debug(line);
      last.push(line);
      if (last.length > LAST_LINES) last.shift();
    });
    const { status } = await child.exited;
    await heard;
    signal?.removeEventListener('abort', stop);
    signal?.throwIfAborted();
    if (status !== 0) {
      throw new TestbedError(
        `building ${name} with ${argv[0]} ended with status ${status}: ${last.join(' / ')}; give --mirror, or --tarball with a root filesystem that you have`,
      );
    }
  } finally {
    progress.done();
  }
}

/** Calls back for every line that is not empty; resolves at the end of the stream. */
async function hear(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): Promise<void> {
  if (stream === null) return;
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + String(chunk)).split(/[\r\n]+/);
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') onLine(line.trim());
  }
  if (rest.trim() !== '') onLine(rest.trim());
}
