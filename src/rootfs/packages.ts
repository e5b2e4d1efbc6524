/**
 * Packages that apt downloaded in testbeds, kept for later ones: a tree that lies above the base of a testbed, with the packages
 * where apt(8) looks for partial downloads. There apt verifies a file by the hash of its signed index before it uses it, and
 * asks the mirror only whether the file is complete. (It uses what lies in the parent directory if only the size is right.)
 */
import { lstatSync, readdirSync, renameSync, type Stats, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../log.ts';
import { randomBytes } from '../random.ts';
import type { CacheFolder } from './cache.ts';
import { newName, unpackingName } from './keys.ts';
import { waitLock } from './lock.ts';
import { makeShell } from './make-base.ts';
import { type KnownPackages, madeNow, type PackagesRecord, readPackages } from './record.ts';
import { removeBase, removeLeftovers } from './remove.ts';
import { type Inside, mustRun } from './unpack.ts';

const ARCHIVES = ['var', 'cache', 'apt', 'archives'] as const;
const PARTIAL = [...ARCHIVES, 'partial'].join('/');

/** What apt names a package file: NAME_VERSION_ARCHITECTURE.deb, with `%3a` for a colon. */
const PACKAGE_FILE = /^[a-z0-9][a-z0-9+.-]+_[A-Za-z0-9][A-Za-z0-9.+~%-]*_[a-z0-9-]+\.deb$/;

/** Bytes. When the packages become more, only those of the last testbed are kept. */
const MOST_BYTES = 2 * 2 ** 30;
/** The words of a command must fit into an execve(2). */
const MOST_FILES = 5_000;

export interface PackageFile {
  readonly name: string;
  readonly size: number;
  /** Seconds, as the mirror gives it. */
  readonly time: number;
}

export interface PackagesPlace {
  readonly holder: Inside;
  readonly cache: CacheFolder;
  readonly log: Log;
}

/** Removes all trees but the newest `keep` ones and those in use. */
export async function removeOldPackages(
  cache: CacheFolder,
  holder: Inside,
  log: Log,
  keep: number,
): Promise<void> {
  for (const { key } of readPackages(cache, holder.idMap.key).slice(keep))
    await removeBase(cache, key, holder, log);
}

/** The packages in the archive directory of a tree in which no process runs any more. Follows no link. */
export function downloaded(tree: string): PackageFile[] {
  let directory = tree;
  for (const part of ARCHIVES) {
    directory = join(directory, part);
    if (statOf(directory)?.isDirectory() !== true) return [];
  }
  return packagesIn(directory);
}

function packagesIn(directory: string): PackageFile[] {
  return readdirSync(directory)
    .filter((name) => PACKAGE_FILE.test(name))
    .flatMap((name) => {
      const status = statOf(join(directory, name));
      if (status?.isFile() !== true || status.size === 0) return [];
      return [{ name, size: status.size, time: Math.floor(status.mtimeMs / 1000) }];
    });
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    // Not readable for this user: then there is nothing for it.
    return undefined;
  }
}

/** What of the known packages stays when others are added: none of the same name, and all or none within the limits. */
export function choosePackages(
  known: readonly PackageFile[],
  found: readonly PackageFile[],
  limits = { bytes: MOST_BYTES, files: MOST_FILES },
): { readonly added: PackageFile[]; readonly kept: PackageFile[] } {
  const same = (one: PackageFile) =>
    known.some(({ name, size, time }) => name === one.name && size === one.size && time === one.time);
  const added: PackageFile[] = [];
  let bytes = 0;
  for (const each of found) {
    if (same(each) || added.length >= limits.files || bytes + each.size > limits.bytes) continue;
    added.push(each);
    bytes += each.size;
  }
  const names = new Set(added.map(({ name }) => name));
  const kept = known.filter(({ name }) => !names.has(name));
  const fits =
    kept.length + added.length <= limits.files &&
    kept.reduce((sum, { size }) => sum + size, bytes) <= limits.bytes;
  return { added, kept: fits ? kept : [] };
}

/**
 * Keeps the packages that apt left in a tree.
 * @param tree as the holder sees it
 * @param seen the same tree as this process sees it
 * @throws TestbedError
 */
export async function rememberPackages(tree: string, seen: string, place: PackagesPlace): Promise<void> {
  const { cache, holder, log } = place;
  const found = downloaded(seen);
  if (found.length === 0) return;
  const lock = await waitLock(join(cache.locks, `packages-${holder.idMap.key}`), log);
  try {
    const [before] = readPackages(cache, holder.idMap.key);
    const known = before === undefined ? [] : packagesIn(join(before.folder, 'tree/root', PARTIAL));
    const { added, kept } = choosePackages(known, found);
    if (added.length === 0) return;
    log.debug(`remembering ${added.length} packages of apt, beside ${kept.length}`);
    await makeTree({ tree, added, kept, before }, place);
    await removeOldPackages(cache, holder, log, 1);
  } finally {
    lock.release();
  }
}

interface Content {
  readonly tree: string;
  readonly added: readonly PackageFile[];
  readonly kept: readonly PackageFile[];
  readonly before: KnownPackages | undefined;
}

async function makeTree({ tree, added, kept, before }: Content, place: PackagesPlace): Promise<void> {
  const { cache, holder, log } = place;
  const hash = randomBytes(16).toString('hex');
  const name = unpackingName(holder.idMap.key, hash);
  const fresh = join(cache.bases, newName(name));
  const lock = await waitLock(join(cache.locks, `unpack-${name}`), log);
  try {
    makeShell(fresh);
    const root = `${holder.inside(fresh)}/tree/root`;
    const partial = `${root}/${PARTIAL}`;
    const run = (argv: [string, ...string[]]) =>
      mustRun(holder.enter(argv), log, 'keeping the packages that apt downloaded');
    await run(['mkdir', '-p', '-m', '755', partial]);
    if (before !== undefined && kept.length > 0) {
      const old = `${holder.inside(before.folder)}/tree/root/${PARTIAL}`;
      await run(['ln', '-t', partial, '--', ...kept.map((each) => `${old}/${each.name}`)]);
    }
    const archives = `${tree}/${ARCHIVES.join('/')}`;
    await run([
      ...(['install', '-p', '-m', '644', '-t', partial, '--'] as const),
      ...added.map((each) => `${archives}/${each.name}`),
    ]);
    const record: PackagesRecord = {
      ...{ packages: kept.length + added.length, idMap: holder.idMap.key },
      size: [...kept, ...added].reduce((sum, { size }) => sum + size, 0),
      ...madeNow(),
    };
    writeFileSync(join(fresh, 'base.json'), `${JSON.stringify(record)}\n`, { mode: 0o600 });
    renameSync(fresh, join(cache.bases, `${hash}-${holder.idMap.key}`));
  } catch (error) {
    await removeLeftovers(cache, holder, log, name).catch(() => {});
    throw error;
  } finally {
    lock.release();
  }
}
