/** Builds the root filesystem of a release as an image in the cache. */
import { existsSync } from 'node:fs';
import { TestbedError, UsageError } from '../errors.ts';
import { type Argv, type HostProcess, spawnHost } from '../host.ts';
import { type Log, printable } from '../log.ts';
import { executionOf } from '../namespaces/execution.ts';
import { machineNamed } from '../namespaces/machines.ts';
import { findProgram } from '../processes/find.ts';
import { startProgress } from '../progress-line.ts';
import { keyringOf, readAptIndexes, sourceLines } from './apt.ts';
import { buildEmulated, type EmulatedRun } from './build-emulated.ts';
import { buildRemedy } from './build-remedy.ts';
import type { CacheFolder } from './cache.ts';
import { endBuild, GRACE } from './end-build.ts';
import { putImage } from './images.ts';
import { isOfAnother } from './known-releases.ts';
import { imageName, type RootOrder } from './order.ts';
import { hostArchitecture, hostRelease, osReleaseValue, readOsRelease } from './release.ts';
import { compressionOfFile, imageThatServes, newestTarball, type RootSource } from './source.ts';
import { EMPTY_COMMAND, EMPTY_COMMAND_FACTS, splitWords } from './words.ts';

const MAX_REASON = 160;

/** The tarball of an order, built now or by another process meanwhile. @throws TestbedError */
export async function provideRoot(
  order: RootOrder,
  cache: CacheFolder,
  log: Log,
  signal?: AbortSignal,
): Promise<RootSource> {
  const name = imageName(order);
  const { mirror, bootstrapCommand: bootstrapcmd } = order;
  const path = await putImage(cache, name, order, log, signal, async (stem, lock) =>
    imageThatServes(cache.images, name, { mirror, bootstrapcmd }) === undefined
      ? build(order, name, stem, lock, log, signal)
      : undefined,
  );
  return sourceOf(name, path ?? newestTarball(cache.images, name));
}

export async function rebuildRoot(
  order: RootOrder,
  cache: CacheFolder,
  log: Log,
  signal?: AbortSignal,
): Promise<RootSource> {
  const name = imageName(order);
  const path = await putImage(cache, name, order, log, signal, (stem, lock) =>
    build(order, name, stem, lock, log, signal),
  );
  return sourceOf(name, path);
}

function sourceOf(name: string, path: string | undefined): RootSource {
  if (path === undefined) {
    throw new TestbedError(`the image ${name} was removed as soon as it was made`, {
      code: 'IMAGE_REMOVED',
      remedy: 'try again',
    });
  }
  return { kind: 'tarball', path };
}

async function build(
  order: RootOrder,
  name: string,
  stem: string,
  lock: number,
  log: Log,
  signal: AbortSignal | undefined,
): Promise<string> {
  const own = order.bootstrapCommand === undefined;
  const ending = own && findProgram('zstd') !== undefined ? 'tar.zst' : 'tar';
  const target = `${stem}.${ending}`;
  const lines = own && order.mirror === undefined ? await ownLines(order.release, log, signal) : [];
  const machine = own ? machineNamed(order.arch) : undefined;
  if (machine !== undefined && executionOf(machine, hostArchitecture()).kind === 'own') {
    const argv = bootstrapArgv(order, '-', lines, false);
    await buildEmulated(argv, { machine, target, log, signal }, (words, options) =>
      runBuild(words, { name, lock, log, signal, ...options }),
    );
  } else {
    const argv = bootstrapArgv(order, target, lines, process.geteuid?.() === 0);
    await runBuild(argv, { name, lock, log, signal });
  }
  if (!existsSync(target) || compressionOfFile(target) === undefined) {
    throw new TestbedError(`building ${name} made no tarball ${target}`, {
      code: 'BUILD_FAILED',
      remedy: 'use a command that writes one there',
    });
  }
  return ending;
}

async function ownLines(release: string, log: Log, signal: AbortSignal | undefined): Promise<string[]> {
  const id = osReleaseValue(readOsRelease(), 'ID') ?? 'debian';
  // mmdebstrap knows their mirrors; those of this machine do not have them.
  if (isOfAnother(release, { id, release: hostRelease() })) return [];
  const path = keyringOf(id);
  const origin = id.charAt(0).toUpperCase() + id.slice(1);
  return sourceLines(await readAptIndexes(log, signal), release, origin, existsSync(path) ? path : undefined);
}

/**
 * The command that makes `target`. autopkgtest-virt-unshare 6.0 appends the same arguments: `--arch=ARCH`, the release, the
 * target and the mirror. The user's own command gets the architecture only if the user has named one.
 * @param lines of sources.list(5), used when there is no mirror
 */
export function bootstrapArgv(
  order: RootOrder,
  target: string,
  lines: readonly string[],
  asRoot: boolean,
): Argv {
  const own = ownCommand(order, lines, asRoot);
  const [file, ...args] = order.bootstrapCommand === undefined ? own : splitWords(order.bootstrapCommand);
  if (file === undefined) throw new UsageError(EMPTY_COMMAND, EMPTY_COMMAND_FACTS);
  const mirrors = order.mirror === undefined ? lines : [order.mirror];
  const arch = order.bootstrapCommand === undefined || order.archGiven ? [`--arch=${order.arch}`] : [];
  return [file, ...args, ...arch, order.release, target, ...mirrors];
}

/** apt, its package lists and `PACKAGES` are what a driver needs; the sources are for tests of a package by name. */
function ownCommand({ packages }: RootOrder, lines: readonly string[], asRoot: boolean): string[] {
  const certificates = lines.some((line) => line.includes('https://')) ? ['ca-certificates'] : [];
  const command = [
    'mmdebstrap',
    `--mode=${asRoot ? 'root' : 'unshare'}`,
    '--variant=apt',
    ...[...packages, ...certificates].map((name) => `--include=${name}`),
    // check/qemu would need arch-test(1); what executes the programs was found before.
    '--skip=output/mknod,cleanup/apt/lists,check/qemu',
    // A build that is interrupted leaves nothing, so its thousands of fsync(2) are in vain. The image gets no such setting.
    '--dpkgopt=force-unsafe-io',
    '--customize-hook=rm "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap"',
  ];
  if (lines.length === 0) {
    command.push(
      '--customize-hook=sed -n "s/^deb /deb-src /p" "$1/etc/apt/sources.list" >"$1/etc/apt/sources.list.d/src.list" && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get update',
    );
  }
  return command;
}

interface BuildRun extends EmulatedRun {
  readonly name: string;
  readonly lock: number;
  readonly log: Log;
  readonly signal: AbortSignal | undefined;
}

async function runBuild(argv: Argv, run: BuildRun): Promise<void> {
  const { name, lock, log, signal, stdout = 'ignore', env = {}, program = argv[0] } = run;
  const output = new BuildWords();
  const progress = startProgress(`building ${name}`, {
    note: () => output.last,
    ...{ log, plain: `building the root filesystem ${name} with ${program}; it is kept` },
  });
  try {
    const child = await spawnHost(argv, log, {
      stdio: ['ignore', stdout, 'pipe', lock],
      env,
      // A failing mmdebstrap sends SIGHUP to its whole process group.
      detached: true,
    });
    let ending: Promise<void> | undefined;
    const stop = () => {
      progress.done();
      ending ??= endOf(child, program, log);
    };
    if (signal?.aborted === true) stop();
    signal?.addEventListener('abort', stop, { once: true });
    const heard = hear(child.child.stderr, (line) => {
      log.debug(line);
      output.add(line);
    });
    const [{ status }] = await Promise.all([child.exited, heard.catch(() => {})]);
    signal?.removeEventListener('abort', stop);
    await ending;
    signal?.throwIfAborted();
    if (status !== 0) {
      const words = output.reason === undefined ? '' : `: ${output.reason}`;
      throw new TestbedError(`building ${name} with ${program} ended with status ${status}${words}`, {
        code: 'BUILD_FAILED',
        remedy: buildRemedy(output.line),
      });
    }
  } finally {
    progress.done();
  }
}

/** It may remove what it has made. */
async function endOf(child: HostProcess, program: string, log: Log): Promise<void> {
  const plain = `waiting for the end of ${program}, which is killed after ${GRACE / 1000} s`;
  const progress = startProgress(`ending ${program}`, { log, plain });
  try {
    await endBuild(child, GRACE);
    child.child.stderr?.destroy();
  } finally {
    progress.done();
  }
}

class BuildWords {
  last: string | undefined;
  #error: string | undefined;

  add(line: string): void {
    this.last = printable(line);
    if (/^(E|error|ERROR|[\w.-]+: error): /.test(line)) this.#error ??= this.last;
  }

  /** The first error, else the last line. */
  get line(): string | undefined {
    return this.#error ?? this.last;
  }

  get reason(): string | undefined {
    const reason = this.line;
    return reason === undefined || reason.length <= MAX_REASON ? reason : `${reason.slice(0, MAX_REASON)}…`;
  }
}

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
