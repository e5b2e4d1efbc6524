/** `virt-ts-unshare rootfs ...`: the root filesystems that are kept, for a person. */
import { parseArgs } from 'node:util';
import { messageOf, TestbedError, UsageError } from '../errors.ts';
import { createLog, type Log } from '../log.ts';
import { readCaller } from '../namespaces/caller.ts';
import { Holder } from '../namespaces/holder.ts';
import { chooseIdMaps } from '../namespaces/idmap.ts';
import { rebuildRoot } from '../rootfs/build.ts';
import { type CacheFolder, openCache } from '../rootfs/cache.ts';
import { type Image, importImage, listImages, removeImage } from '../rootfs/images.ts';
import { type BaseInfo, DEFAULT_LIMITS, type Limits, listBases, prune } from '../rootfs/prune.ts';
import { hostArchitecture, hostRelease, resolveRelease } from '../rootfs/release.ts';
import { removeBase } from '../rootfs/remove.ts';
import { orderRoot, type RootOptions } from '../rootfs/source.ts';
import { verifyBase } from '../rootfs/verify.ts';
import { parseDays, parseSize, showSize, showTable, showTime } from './figures.ts';

export const ROOTFS_USAGE = `Usage: virt-ts-unshare rootfs COMMAND [OPTION]...

The root filesystems that testbeds start from: images (tarballs that were built or imported) and bases (what tarballs
were unpacked to).

  list [--json]            show images and bases, with size, last use and the processes that use them now
  build [RELEASE]          build the image of a release (default: the host's own)
  update [NAME...]         build images anew that were built before (default: all of them)
  import PATH NAME         make an image of a tarball or folder; NAME is RELEASE-ARCH, or RELEASE for this architecture
  remove NAME...           remove images, or bases by the first characters of their key
  prune                    remove bases that were not used for long, and what crashes left
  verify [KEY...]          compare bases with the tarballs that they came from (default: all)

Options:
  -a, --arch ARCH          build, import: Debian's name of the architecture (default: the host's own)
  -m, --mirror MIRROR      build, update: take packages from this mirror (default: the machine's own)
      --bootstrapcmd CMD   build, update: use this command instead of mmdebstrap
      --max-age DAYS       prune: keep bases that were used in that time (default: 30)
      --max-size SIZE      prune: bytes, or with K, M, G, that all bases may take together (default: 20G)
  -d, --debug              say on stderr what is done

A base in use is never removed. An image with the name of a release is used by the server without further options.

Examples:
  virt-ts-unshare rootfs build trixie
  virt-ts-unshare rootfs import chroot.tar.zst unstable
  virt-ts-unshare rootfs prune --max-age 7
`;

type Values = ReturnType<typeof parse>['values'];

interface Call {
  readonly names: readonly string[];
  readonly values: Values;
  readonly cache: CacheFolder;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const COMMANDS: Readonly<Record<string, (call: Call) => Promise<number>>> = {
  list,
  build,
  update,
  import: importOne,
  remove,
  prune: pruneBases,
  verify,
};

/**
 * Gives the exit status: 0, or 1 when something that was named is in use or different.
 * @throws UsageError, TestbedError
 */
export async function rootfs(argv: readonly string[], signal: AbortSignal): Promise<number> {
  const { values, positionals } = parse(argv);
  const [command, ...names] = positionals;
  if (values.help === true) {
    say(ROOTFS_USAGE);
    return 0;
  }
  const run = command !== undefined && Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  if (run === undefined) {
    const given = command === undefined ? 'rootfs needs a command' : `rootfs knows no command ${command}`;
    throw new UsageError(`${given}; give one of ${Object.keys(COMMANDS).join(', ')}, or --help`);
  }
  const log = createLog({ debug: values.debug ?? false });
  return run({ names, values, cache: openCache(process.env), log, signal });
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        arch: { type: 'string', short: 'a' },
        mirror: { type: 'string', short: 'm' },
        bootstrapcmd: { type: 'string' },
        'max-age': { type: 'string' },
        'max-size': { type: 'string' },
        json: { type: 'boolean' },
        debug: { type: 'boolean', short: 'd' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    // Node's sentence may have a second one with advice for programmers.
    const [sentence] = messageOf(error).split('. ');
    throw new UsageError(`${sentence}; see rootfs --help`, { cause: error });
  }
}

async function list({ values, cache }: Call): Promise<number> {
  const images = listImages(cache);
  const bases = listBases(cache);
  say(
    values.json === true ? `${JSON.stringify(asJson(images, bases), undefined, 2)}\n` : asText(images, bases),
  );
  return 0;
}

/** Times in ISO 8601, sizes in bytes. */
function asJson(images: readonly Image[], bases: readonly BaseInfo[]): unknown {
  return {
    images: images.map(({ name, path, size, made, order }) => ({
      ...{ name, path, size, made: new Date(made).toISOString(), built: order !== undefined },
    })),
    bases: bases.map(({ key, folder, record, lastUsed, users }) => ({
      ...{ key, path: `${folder}/tree/root`, size: record.size, tarball: record.tarball },
      ...{ unpacked: record.unpacked, lastUsed: new Date(lastUsed).toISOString(), users },
    })),
  };
}

const KEY_LENGTH = 12;

function asText(images: readonly Image[], bases: readonly BaseInfo[]): string {
  const imageRows = images.map(({ name, size, made, path }) => [name, showSize(size), showTime(made), path]);
  const baseRows = bases.map(({ key, record, lastUsed, users }) => [
    ...[key.slice(0, KEY_LENGTH), showSize(record.size), showTime(lastUsed)],
    ...[users.length === 0 ? '-' : users.join(','), record.tarball],
  ]);
  const imageTable = showTable(['IMAGE', 'SIZE', 'MADE', 'PATH'], imageRows);
  const baseTable = showTable(['BASE', 'SIZE', 'LAST USED', 'USED BY', 'TARBALL'], baseRows);
  return `${images.length === 0 ? 'no images\n' : imageTable}\n${bases.length === 0 ? 'no bases\n' : baseTable}`;
}

/** The words of the command line that an order is made of. */
function orderOptions({ mirror, bootstrapcmd }: Values): RootOptions {
  return { mirror, bootstrapcmd };
}

async function build({ names, values, cache, log, signal }: Call): Promise<number> {
  const [given, ...more] = names;
  if (more.length > 0) throw new UsageError('rootfs build takes one release; give one');
  const release = given === undefined ? hostRelease() : resolveRelease(given);
  if (release === undefined) throw new UsageError('this is no Debian system; give a release to build');
  const order = orderRoot(release, values.arch, orderOptions(values));
  const { path } = await rebuildRoot(order, cache, log, signal);
  say(`${path}\n`);
  return 0;
}

async function update({ names, values, cache, log, signal }: Call): Promise<number> {
  const images = listImages(cache);
  for (const name of names) {
    const image = images.find((each) => each.name === name);
    if (image === undefined)
      throw new UsageError(`there is no image ${name}; rootfs list shows those there are`);
    if (image.order === undefined) throw new UsageError(`the image ${name} was imported; import it again`);
  }
  if (images.every(({ order }) => order === undefined)) {
    log.warn('there is no image that was built here; rootfs build makes one');
  }
  for (const { name, order } of images) {
    if (order === undefined || (names.length > 0 && !names.includes(name))) continue;
    const { mirror = order.mirror, bootstrapcmd = order.bootstrapCommand } = orderOptions(values);
    const again = orderRoot(order.release, order.archGiven ? order.arch : undefined, {
      mirror,
      bootstrapcmd,
    });
    const { path } = await rebuildRoot(again, cache, log, signal);
    say(`${path}\n`);
  }
  return 0;
}

async function importOne({ names, values, cache, log, signal }: Call): Promise<number> {
  const [path, given, ...more] = names;
  if (path === undefined || given === undefined || more.length > 0) {
    throw new UsageError('rootfs import takes a path and a name; give both, like chroot.tar unstable');
  }
  const arch = values.arch ?? hostArchitecture();
  const name = given.endsWith(`-${arch}`) ? given : `${given}-${arch}`;
  if (!/^[A-Za-z0-9][A-Za-z0-9+.~_-]*$/.test(name)) {
    throw new UsageError(`${name} cannot be an image's name; give one like unstable or unstable-amd64`);
  }
  say(`${await importImage(cache, path, name, log, signal)}\n`);
  return 0;
}

async function remove({ names, cache, log }: Call): Promise<number> {
  if (names.length === 0) throw new UsageError('rootfs remove needs a name; rootfs list shows them');
  const bases = listBases(cache);
  const images = listImages(cache);
  const chosen = names.map((name) => {
    const image = images.find((each) => each.name === name);
    return image === undefined ? { base: chooseBase(bases, name) } : { image };
  });
  let status = 0;
  for (const { image } of chosen) if (image !== undefined) await removeImage(cache, image.name, log);
  const doomed = chosen.flatMap(({ base }) => (base === undefined ? [] : [base]));
  if (doomed.length === 0) return status;
  await withHolder(cache, log, async (holder) => {
    for (const base of doomed) {
      if (base.record.idMap !== holder.idMap.key) {
        throw new TestbedError(
          `the base ${base.key} belongs to the ids of another caller; remove it as that one`,
        );
      }
      if (await removeBase(cache, base.key, holder, log)) continue;
      log.warn(`the base ${base.key} is in use by ${listUsers(cache, base)}; close its testbeds first`);
      status = 1;
    }
  });
  return status;
}

function listUsers(cache: CacheFolder, base: BaseInfo): string {
  const users = listBases(cache).find(({ key }) => key === base.key)?.users ?? [];
  return users.length === 0 ? 'a process that has just ended' : `process ${users.join(', ')}`;
}

/** The one base whose key starts so. */
function chooseBase(bases: readonly BaseInfo[], start: string): BaseInfo {
  const [base, ...more] = start === '' ? [] : bases.filter(({ key }) => key.startsWith(start));
  if (base === undefined) {
    throw new UsageError(`there is no image or base ${start}; rootfs list shows those there are`);
  }
  if (more.length > 0) throw new UsageError(`there are several bases ${start}…; give more of the key`);
  return base;
}

async function pruneBases({ names, values, cache, log }: Call): Promise<number> {
  if (names.length > 0) throw new UsageError('rootfs prune takes no names; rootfs remove does');
  const limits: Limits = {
    maxAge: parseDays('--max-age', values['max-age']) ?? DEFAULT_LIMITS.maxAge,
    maxSize: parseSize('--max-size', values['max-size']) ?? DEFAULT_LIMITS.maxSize,
  };
  const removed = await withHolder(cache, log, (holder) => prune(cache, holder, log, limits));
  for (const { key, record } of removed) say(`${key.slice(0, KEY_LENGTH)}  ${record.tarball}\n`);
  return 0;
}

async function verify({ names, cache, log }: Call): Promise<number> {
  const all = listBases(cache);
  const bases = names.length === 0 ? all : names.map((name) => chooseBase(all, name));
  return withHolder(cache, log, async (holder) => {
    let status = 0;
    for (const base of bases) {
      const verdict = await verifyBase(base, holder, cache, log);
      const key = base.key.slice(0, KEY_LENGTH);
      if (verdict.kind === 'same') say(`${key}  as its tarball says\n`);
      else if (verdict.kind === 'unknown') say(`${key}  cannot be told: ${verdict.why}\n`);
      else {
        status = 1;
        say(`${key}  different; rootfs remove ${key} has it unpacked again\n`);
        for (const line of verdict.differences) say(`    ${line}\n`);
      }
    }
    return status;
  });
}

async function withHolder<T>(cache: CacheFolder, log: Log, work: (holder: Holder) => Promise<T>): Promise<T> {
  const holder = await Holder.start(chooseIdMaps(readCaller()), [cache.bases], log);
  try {
    return await work(holder);
  } finally {
    await holder.stop();
  }
}

function say(text: string): void {
  process.stdout.write(text);
}
