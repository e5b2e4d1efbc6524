/** Where the upper layers lie: in memory, or in a folder of its own for each testbed. */
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { freemem } from 'node:os';
import { join } from 'node:path';
import { messageOf, reasonOf, systemCodeOf, TestbedError } from '../errors.ts';
import { runHost } from '../host.ts';
import type { Log } from '../log.ts';
import type { Holder } from '../namespaces/holder.ts';
import { insideUser } from '../namespaces/idmap.ts';
import { isAliveAnywhere, ownIdentity } from '../processes/identity.ts';
import type { Scratch } from './types.ts';

/** A place for one upper layer. */
export interface Upper {
  /** As Instance wants it: tmpfs options, or a folder in the holder. */
  readonly where: string;
  /** On a disk: an overlay then goes without fsync(2). */
  readonly onDisk: boolean;
  /** In memory, in large pages if a program asks for them. */
  readonly largePages: boolean;
  /** Removes what is left of it; the mounts must be gone. */
  remove(): Promise<void>;
}

/** Below this much free memory (bytes) `auto` chooses a disk: a package build in a tmpfs would not fit. */
const ENOUGH_MEMORY = 2 * 1024 ** 3;

/** The folder of the cache for upper layers on disk, made if it is not there. */
export function scratchFolderOf(cacheFolder: string): string {
  const path = join(cacheFolder, 'scratch');
  // The cache folder is private; in it the holder's root, who is nobody to us, has to find its way.
  mkdirSync(path, { recursive: true });
  if ((statSync(path).mode & 0o001) === 0) chmodSync(path, 0o755);
  return path;
}

/**
 * Looks whether a testbed can reach what lies in a folder for upper layers, and nobody else can replace it.
 * @param single whether root of a testbed is the caller
 * @throws TestbedError with the remedy
 */
export function checkScratchFolder(path: string, single: boolean): void {
  const { mode } = statSync(path);
  // In the holder its owner is nobody to root, who is one of the others.
  if (!single && (mode & 0o001) === 0) {
    throw new TestbedError(
      `the scratch ${path} is closed to others, as root of a testbed is one; chmod o+x it`,
    );
  }
  if ((mode & 0o1002) === 0o002) {
    throw new TestbedError(
      `every user may replace what lies in the scratch ${path}; chmod o-w it, or chmod +t`,
    );
  }
}

/** `auto` resolved before anything is tried: memory unless there is little of it. */
export function chooseScratch(scratch: Scratch, folder: string): Exclude<Scratch, { kind: 'auto' }> {
  if (scratch.kind !== 'auto') return scratch;
  return freemem() < ENOUGH_MEMORY ? { kind: 'directory', path: folder } : { kind: 'tmpfs' };
}

export function memoryUpper(size: string | undefined): Upper {
  const largePages = hasLargePages();
  const where = [
    'mode=755',
    // Only for a program that asks for them, which is helper/copy.c.
    ...(largePages ? ['huge=advise'] : []),
    ...(size === undefined ? [] : [`size=${size}`]),
  ].join(',');
  // The kernel frees it with the last process of the testbed.
  return { where, onDisk: false, largePages, remove: async () => {} };
}

/** Whether the kernel can have large pages in a tmpfs. */
function hasLargePages(): boolean {
  try {
    return !readFileSync('/sys/kernel/mm/transparent_hugepage/shmem_enabled', 'utf8').includes('[deny]');
  } catch {
    return false;
  }
}

const NAME = /^scratch-(\d+)-(\d+)-(\d+)-([0-9a-f]+)-\d+$/;
let made = 0;

/**
 * A fresh folder below `parent`, named after this process so that the next start can tell who left it. Only root of the
 * holder may enter it: whoever writes in it chooses what set-up mounts.
 */
export async function diskUpper(parent: string, holder: Holder, log: Log): Promise<Upper> {
  made += 1;
  const { pid, startTime, namespace, boot } = ownIdentity();
  const path = join(parent, `scratch-${pid}-${startTime}-${namespace}-${boot}-${made}`);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (cause) {
    throw new TestbedError(`cannot make a scratch on disk in ${parent}: ${reasonOf(cause)}`, {
      code: 'BAD_SCRATCH',
      remedy: 'start again, or name another directory with --scratch',
      cause,
    });
  }
  try {
    // Nor has it the set-group-ID bit that its parent may have.
    chmodSync(path, 0o700);
    await holder.giveToRoot(path, log);
  } catch (error) {
    rmdirSync(path);
    throw error;
  }
  const remove = () => removeScratch(path, holder, log);
  return { where: holder.inside(path), onDisk: true, largePages: false, remove };
}

/**
 * Only root of the holder may delete what the testbed's users own, and overlayfs's work folder of mode 000. That another
 * start has removed it meanwhile is no error.
 */
async function removeScratch(path: string, holder: Holder, log: Log): Promise<void> {
  const result = await runHost(holder.enter(['find', holder.inside(path), '-mindepth', '1', '-delete']), log);
  try {
    rmdirSync(path);
  } catch (cause) {
    if (systemCodeOf(cause) === 'ENOENT') return;
    // It is not ours: in a folder with the sticky bit, as /tmp is, only root of the stage may remove it.
    if (systemCodeOf(cause) === 'EPERM' && (await holder.removeFolder(path, log))) return;
    throw new TestbedError(
      `cannot remove the scratch ${path}: ${result.stderr.trim() || reasonOf(cause)}; remove it by hand`,
      {
        cause,
      },
    );
  }
}

/** Removes what servers left below `parent` that were killed. What cannot be removed is told, and costs no testbed. */
export async function sweepScratch(parent: string, holder: Holder, log: Log): Promise<void> {
  for (const name of readdirSync(parent)) {
    if (!isAbandoned(parent, name) || !isOurs(join(parent, name), holder)) continue;
    log.debug(`removing the scratch ${name} of a server that was killed`);
    try {
      await removeScratch(join(parent, name), holder, log);
    } catch (error) {
      log.warn(messageOf(error));
    }
  }
}

/** Whether a name in the folder is that of a scratch whose server has ended. */
export function isAbandoned(parent: string, name: string): boolean {
  const [, pid, startTime = '', namespace = '', boot = ''] = NAME.exec(name) ?? [];
  if (pid === undefined) return false;
  return !isAliveAnywhere({ pid: Number(pid), startTime, namespace, boot }, join(parent, name));
}

/** Whether a folder is that of root of the holder, or ours, as it is before it is given away. */
function isOurs(path: string, holder: Holder): boolean {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there?.isDirectory() !== true) return false;
  return there.uid === process.geteuid?.() || insideUser(holder.idMap, there.uid) === 0;
}
