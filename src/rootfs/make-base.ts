/** Unpacks a tarball into a base, with a temporary name until it is complete. */
import { chmodSync, closeSync, fstatSync, mkdirSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { messageOf, reasonOf, systemCodeOf, TestbedError } from '../errors.ts';
import type { Log } from '../log.ts';
import { startProgress } from '../progress-line.ts';
import type { CacheFolder } from './cache.ts';
import {
  type FileState,
  hashOf,
  isFresh,
  rememberedHash,
  rememberHash,
  sameState,
  settledState,
  shortHash,
  stateOf,
} from './identity.ts';
import { baseKey, newName, unpackingName } from './keys.ts';
import { type Base, inUse, isWhole } from './known-base.ts';
import { isAt, type Lock, waitLock } from './lock.ts';
import { type BaseRecord, madeNow, readBases } from './record.ts';
import { removeLeftovers, setAside } from './remove.ts';
import { whyNoRoot } from './tree.ts';
import { decompressorOf, type Inside, readSoFar, type Unpacked, unpack } from './unpack.ts';
import { addUser, makeUsersFolder, removeUser } from './users.ts';

/** Times that a tarball may be replaced by another one while it is unpacked. */
const MOST_TIMES = 3;

/** Waits for another process that makes the same base now. @throws TestbedError */
export async function makeBase(
  tarball: string,
  holder: Inside,
  cache: CacheFolder,
  log: Log,
  signal: AbortSignal | undefined,
): Promise<Base> {
  for (let times = 1; ; times += 1) {
    try {
      return await makeOnce(tarball, holder, cache, log, signal);
    } catch (error) {
      const replaced = error instanceof TestbedError && error.code === 'TARBALL_REPLACED';
      if (!replaced || times >= MOST_TIMES) throw error;
      log.debug(error.message);
    }
  }
}

async function makeOnce(
  tarball: string,
  holder: Inside,
  cache: CacheFolder,
  log: Log,
  signal: AbortSignal | undefined,
): Promise<Base> {
  const fd = openTarball(tarball);
  const progress = startProgress(`unpacking ${basename(tarball)}`, {
    fraction: () => readSoFar(fd, fstatSync(fd).size),
    log,
  });
  let lock: Lock | undefined;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    const name = unpackingName(holder.idMap.key, shortHash(`${dev} ${ino}`));
    lock = await waitLock(join(cache.locks, `unpack-${name}`), log, signal);
    const state = await settledState(fd);
    return (
      (await knownBase(tarball, fd, state, holder, cache, signal)) ??
      (await unpackBase({ tarball, fd, state, name, holder, cache, log, lock, signal }))
    );
  } finally {
    progress.done();
    closeSync(fd);
    lock?.release();
  }
}

function openTarball(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    throw new TestbedError(`cannot read the tarball ${path}: ${reasonOf(error)}`, {
      code: 'CANNOT_READ',
      remedy: systemCodeOf(error) === 'ENOENT' ? 'put it back' : 'make it readable',
      cause: error,
    });
  }
}

/** A base in the cache with the same content: unpacked meanwhile, or under another name or date. */
async function knownBase(
  tarball: string,
  fd: number,
  state: FileState,
  holder: Inside,
  cache: CacheFolder,
  signal: AbortSignal | undefined,
): Promise<Base | undefined> {
  let sha256 = await rememberedHash(cache, tarball, state);
  if (sha256 === undefined) {
    // Hashing costs a part of unpacking, but is lost for new content.
    const sizes = readBases(cache).map(({ record }) => String(record.tarballSize));
    if (!sizes.includes(state.size)) return undefined;
    sha256 = await readHash(tarball, fd, state, cache, signal);
  }
  return inUse(cache, baseKey(sha256, holder.idMap.key));
}

async function readHash(
  tarball: string,
  fd: number,
  state: FileState,
  cache: CacheFolder,
  signal: AbortSignal | undefined,
): Promise<string> {
  const fresh = isFresh(state, Date.now());
  const sha256 = await hashOf(fd, signal);
  checkUnchanged(tarball, fd, state);
  if (!fresh) await rememberHash(cache, tarball, state, sha256);
  return sha256;
}

function checkUnchanged(tarball: string, fd: number, state: FileState): void {
  if (sameState(state, stateOf(fstatSync(fd, { bigint: true })))) return;
  // As by `rootfs update`; the loss of its name changes the state of a file too.
  if (!isAt(fd, tarball)) {
    throw new TestbedError(`the tarball ${tarball} was replaced while it was read`, {
      code: 'TARBALL_REPLACED',
      remedy: 'try again',
    });
  }
  throw new TestbedError(`the tarball ${tarball} changed while it was read`, {
    code: 'TARBALL_CHANGED',
    remedy: 'try again when it is complete',
  });
}

interface Job {
  readonly tarball: string;
  readonly fd: number;
  readonly state: FileState;
  readonly name: string;
  readonly holder: Inside;
  readonly cache: CacheFolder;
  readonly log: Log;
  readonly lock: Lock;
  readonly signal: AbortSignal | undefined;
}

async function unpackBase(job: Job): Promise<Base> {
  const { tarball, fd, holder, cache, log, signal } = job;
  const decompressor = decompressorOf(tarball, fd);
  const fresh = join(cache.bases, newName(job.name));
  await removeLeftovers(cache, holder, log, job.name);
  makeShell(fresh);
  if (holder.idMap.single) {
    log.warn(
      'this user has no subordinate ids, so everything in the testbed belongs to root; virt-ts-unshare doctor names the remedy',
    );
  }
  // tar reads at the descriptor's position, hashing at its own, both from the page cache.
  const unpacking = unpack(holder, log, {
    ...{ tarball, fd, decompressor, signal },
    ...{ tree: join(fresh, 'tree'), lock: job.lock.fd },
  });
  const [unpacked, hashed] = await Promise.allSettled([
    unpacking,
    readHash(tarball, fd, job.state, cache, signal),
  ]);
  try {
    if (unpacked.status === 'rejected') throw unpacked.reason;
    if (hashed.status === 'rejected') throw hashed.reason;
    checkUnchanged(tarball, fd, job.state);
    if (unpacked.value.skipped.length > 0) {
      log.debug(`device nodes left out of ${tarball}: ${unpacked.value.skipped.join(' ')}`);
    }
    const why = whyNoRoot(join(fresh, 'tree', 'root'));
    if (why !== undefined) {
      throw new TestbedError(`${tarball} does not hold a root filesystem: ${why}`, {
        code: 'NO_ROOT_FILESYSTEM',
        remedy: 'make one with mmdebstrap',
      });
    }
    return await place(job, fresh, hashed.value, unpacked.value);
  } catch (error) {
    await removeLeftovers(cache, holder, log, job.name).catch((failure: unknown) =>
      log.debug(`removing ${fresh} failed: ${messageOf(failure)}`),
    );
    throw error;
  }
}

/** With these modes whatever the umask. */
export function makeShell(folder: string): void {
  mkdirSync(folder);
  chmodSync(folder, 0o711);
  makeUsersFolder(folder);
  mkdirSync(join(folder, 'tree'));
  chmodSync(join(folder, 'tree'), 0o777);
}

async function place(job: Job, fresh: string, sha256: string, unpacked: Unpacked): Promise<Base> {
  const { tarball, state, holder, cache, log } = job;
  const key = baseKey(sha256, holder.idMap.key);
  const folder = join(cache.bases, key);
  const record: BaseRecord = {
    ...{ tarball, tarballSize: Number(state.size), sha256, idMap: holder.idMap.key },
    ...madeNow(),
    ...{ size: unpacked.size, skipped: unpacked.skipped },
  };
  writeFileSync(join(fresh, 'base.json'), `${JSON.stringify(record)}\n`, { mode: 0o600 });
  if (!isWhole(folder)) await setAside(cache, key, holder, log);
  // Before the rename, so that it cannot be pruned in between.
  const mark = addUser(fresh);
  try {
    renameSync(fresh, folder);
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOTEMPTY' && systemCodeOf(error) !== 'EEXIST') throw error;
    await removeLeftovers(cache, holder, log, job.name);
  }
  const base = inUse(cache, key);
  if (mark !== undefined) removeUser(join(folder, 'users', basename(mark)));
  if (base === undefined) {
    throw new TestbedError(`the base of ${tarball} was removed as soon as it was made`, {
      code: 'BASE_REMOVED',
      remedy: 'try again',
    });
  }
  return base;
}
