/** `rootfs export` and `rootfs build NAME --from PARENT`. */
import { closeSync, openSync, type Stats, statSync } from 'node:fs';
import { constants } from 'node:os';
import { basename, resolve } from 'node:path';
import { isatty } from 'node:tty';
import type { Words } from '../command-line/given.ts';
import { TestbedError, UsageError } from '../errors.ts';
import { failureText } from '../helper.ts';
import { type Argv, briefWords, spawnHost, textOf } from '../host.ts';
import type { Log } from '../log.ts';
import type { Holder } from '../namespaces/holder.ts';
import { ROOT } from '../namespaces/instance.ts';
import { useBase } from '../rootfs/base.ts';
import type { CacheFolder } from '../rootfs/cache.ts';
import { checkImageName } from '../rootfs/commit.ts';
import { type CommittedImage, committedImages, findCommitted, type Recipe } from '../rootfs/committed.ts';
import { isFileName } from '../rootfs/known-releases.ts';
import { imageNameFor } from '../rootfs/order.ts';
import { hostArchitecture } from '../rootfs/release.ts';
import { imageNamed } from '../rootfs/source.ts';
import { decompressorOf } from '../rootfs/unpack.ts';
import { lowerRoot, shortLayers } from '../testbed/mounts.ts';
import { openFor } from './open.ts';

interface BuildCall {
  readonly words: Words;
  readonly cache: CacheFolder;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Undefined when a release is meant. @throws UsageError */
export function recipeFor(
  given: string | undefined,
  { words, cache }: BuildCall,
): { name: string; recipe: Recipe } | undefined {
  const [from, run, arch] = [words.one('from'), words.all('run'), words.one('arch')];
  const name = given === undefined ? undefined : imageNameFor(given, arch);
  if (from === undefined && run.length === 0) {
    const kept = name === undefined ? undefined : findCommitted(cache, name);
    return kept === undefined ? undefined : { name: kept.name, recipe: keptRecipe(kept) };
  }
  if (name === undefined || from === undefined || run.length === 0) {
    const missing = name === undefined ? 'a NAME' : from === undefined ? '--from PARENT' : '--run COMMAND';
    throw new UsageError(`rootfs build needs ${missing}`, {
      code: 'MISSING_WORD',
      remedy: "write it like rootfs build postgres --from trixie --run 'apt-get install -y postgresql'",
    });
  }
  if (imageNameFor(from, arch) === name) {
    throw new UsageError(`the image ${name} cannot be built from itself`, {
      code: 'WRONG_VALUE',
      remedy: 'give another name',
    });
  }
  checkImageName(cache.images, name);
  return { name, recipe: { from: parentOf(from, arch), run } };
}

/** Undefined where there is no such file. */
function kindOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** The absolute path of a file, or the name of an image or a release. */
function parentOf(from: string, arch: string | undefined): string {
  const kind = kindOf(from);
  if (kind?.isFile() === true) return resolve(from);
  if (!isFileName(from) || imageNamed(from, arch ?? hostArchitecture(), process.env) !== undefined)
    return from;
  if (kind?.isDirectory() !== true) return resolve(from);
  throw new UsageError(`--from ${from} is a directory`, {
    code: 'WRONG_VALUE',
    remedy: `call rootfs import ${from} NAME first, and give that NAME`,
  });
}

function keptRecipe({ name, recipe }: CommittedImage): Recipe {
  if (recipe !== undefined) return recipe;
  throw new UsageError(`the image ${name} was committed without a recipe`, {
    code: 'NO_RECIPE',
    remedy: 'commit it again, or give --from and --run',
  });
}

/** Images that have a recipe, a parent before what is built from it. */
export function withRecipes(cache: CacheFolder): { name: string; recipe: Recipe }[] {
  const left = committedImages(cache).flatMap(({ name, recipe }) =>
    recipe === undefined ? [] : [{ name, recipe }],
  );
  const isParent = (one: { recipe: Recipe }) =>
    left.some(({ name }) => name === one.recipe.from || name.startsWith(`${one.recipe.from}-`));
  const sorted: typeof left = [];
  while (left.length > 0) {
    const at = left.findIndex((each) => !isParent(each));
    sorted.push(...left.splice(Math.max(at, 0), 1));
  }
  return sorted;
}

/** Gives the exit status: 1 when a command failed. The image of that name, if there is one, then stays. */
export async function buildImage(
  { name, recipe }: { readonly name: string; readonly recipe: Recipe },
  { words, log, signal, cache }: BuildCall,
): Promise<number> {
  const { from, run } = recipe;
  const arch = words.one('arch');
  const root = from.startsWith('/')
    ? { tarball: from }
    : { release: from, arch, mirror: words.one('mirror') };
  const { testbed, close } = await openFor(words, signal, 'rootfs build', { root });
  try {
    for (const command of run) {
      const env = { DEBIAN_FRONTEND: 'noninteractive' };
      const { status } = await testbed.run(['sh', '-ec', command], { stdout: 2, stderr: 2, env, signal });
      if (status === 0) continue;
      log.warn(`${command}: ended with status ${status}; the image ${name} was not made`);
      return 1;
    }
    await testbed.commit({ name, recipe, signal });
    process.stdout.write(`${findCommitted(cache, name)?.path ?? name}\n`);
    return 0;
  } catch (error) {
    if (signal.aborted) return 130;
    throw error;
  } finally {
    await close();
  }
}

export function refuseTerminal(): void {
  if (!isatty(1)) return;
  throw new UsageError('rootfs export writes a tar archive to stdout, which is a terminal', {
    code: 'WRONG_OUTPUT',
    remedy: 'write it to a file: rootfs export NAME >FILE',
  });
}

/** Writes an image that is a tarball to stdout, without its compression. */
export async function exportTarball(path: string, log: Log, signal: AbortSignal): Promise<void> {
  const fd = openSync(path, 'r');
  try {
    const [program, ...options] = decompressorOf(path, fd)?.split(' ') ?? [];
    const argv: Argv = program === undefined ? ['cat'] : [program, ...options, '-dc'];
    await writeOut(argv, fd, `reading ${path}`, log, signal);
  } finally {
    closeSync(fd);
  }
}

/** Writes a committed image to stdout as one tree. */
export async function exportCommitted(
  image: CommittedImage,
  holder: Holder,
  { cache, log, signal }: Omit<BuildCall, 'words'>,
): Promise<void> {
  const base = await useBase({ kind: 'image', path: image.path }, holder, cache, log, signal);
  try {
    const { paths, steps } = shortLayers(base.layers.map((path) => holder.inside(path)));
    const mounting = holder.run('', [...steps, ...lowerRoot(paths)]);
    if ((await mounting.ended) !== 0) {
      const why = mounting.failure === undefined ? 'its process was killed' : failureText(mounting.failure);
      throw new TestbedError(`putting the layers of ${image.name} together failed: ${why}`, {
        code: mounting.failure?.code ?? 'SETUP_KILLED',
      });
    }
    const argv = holder.enter(['tar', ...exportArguments(ROOT)]);
    await writeOut(argv, 'ignore', `exporting ${image.name}`, log, signal);
  } finally {
    await base.release();
  }
}

/** The same tree gives the same bytes. */
function exportArguments(root: string): string[] {
  return [
    ...['--create', '--file=-', `--directory=${root}`, '--format=posix', '--sort=name', '--sparse'],
    '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime',
    ...['--numeric-owner', '--xattrs', '--xattrs-include=*', '.'],
  ];
}

async function writeOut(
  argv: Argv,
  stdin: number | 'ignore',
  what: string,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const child = await spawnHost(argv, log, { stdio: [stdin, 1, 'pipe'], env: { LC_ALL: 'C' }, cwd: '/' });
  const stop = () => child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const [{ status }, words] = await Promise.all([child.exited, textOf(child.child.stderr)]);
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
  if (status === 0) return;
  const errors = words
    .split('\n')
    .filter((line) => !/socket ignored$/.test(line))
    .join('\n');
  const ended =
    status === 128 + constants.signals.SIGPIPE
      ? 'the program that reads stdout has ended'
      : `${basename(argv[0])} ended with status ${status}`;
  throw new TestbedError(`${what} failed: ${briefWords(errors) || ended}`, {
    code: 'EXPORT_FAILED',
    remedy: 'do not use what was written',
  });
}
