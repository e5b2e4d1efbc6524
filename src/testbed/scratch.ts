import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { freemem } from 'node:os';
import { join } from 'node:path';
import { messageOf, reasonOf, systemCodeOf, TestbedError } from '../errors.ts';
import { briefWords, runHost } from '../host.ts';
import { type Log, shellQuote } from '../log.ts';
import type { Holder } from '../namespaces/holder.ts';
import { insideUser } from '../namespaces/idmap.ts';
import { option } from '../option-words.ts';
import { isAliveAnywhere, ownIdentity } from '../processes/identity.ts';
import { uniqueDigits } from '../random.ts';
import type { Upper } from './layer.ts';
import type { Scratch } from './types.ts';

/** Below this much free memory (bytes) `auto` chooses a disk: a package build in a tmpfs would not fit. */
const ENOUGH_MEMORY = 2 * 1024 ** 3;

export function scratchFolderOf(cacheFolder: string): string {
  const path = join(cacheFolder, 'scratch');
  // The cache directory is private, but root of the holder, an unmapped user on the host, needs access.
  mkdirSync(path, { recursive: true });
  if ((statSync(path).mode & 0o001) === 0) chmodSync(path, 0o755);
  return path;
}

/** @throws TestbedError when a testbed cannot enter the directory, or another user can replace its entries */
export function checkScratchFolder(path: string, single: boolean): void {
  const { mode } = statSync(path);
  // The owner is unmapped in the holder, so the bits for others count.
  if (!single && (mode & 0o001) === 0) {
    throw new TestbedError(
      `root of the testbeds cannot enter the scratch ${path}, which is closed to others`,
      {
        code: 'BAD_SCRATCH',
        remedy: `chmod o+x ${shellQuote(path)}`,
      },
    );
  }
  if ((mode & 0o1002) === 0o002) {
    throw new TestbedError(`every user may replace what lies in the scratch ${path}`, {
      code: 'BAD_SCRATCH',
      remedy: `chmod o-w ${shellQuote(path)}, or chmod +t`,
    });
  }
}

export function chooseScratch(scratch: Scratch, folder: string): Exclude<Scratch, { kind: 'auto' }> {
  if (scratch.kind !== 'auto') return scratch;
  return freemem() < ENOUGH_MEMORY ? { kind: 'directory', path: folder } : { kind: 'tmpfs' };
}

export function memoryUpper(size: string | undefined): Upper {
  const largePages = hasLargePages();
  const where = [
    'mode=755',
    ...(largePages ? ['huge=advise'] : []),
    ...(size === undefined ? [] : [`size=${size}`]),
  ].join(',');
  return { where, onDisk: false, largePages, remove: async () => {} };
}

function hasLargePages(): boolean {
  try {
    return !readFileSync('/sys/kernel/mm/transparent_hugepage/shmem_enabled', 'utf8').includes('[deny]');
  } catch {
    return false;
  }
}

const NAME = /^scratch-(\d+)-(\d+)-(\d+)-([0-9a-f]+)-\d+$/;

/**
 * A new directory, named after this process so that a later start can remove it. Only root of the holder may enter it.
 * @param signal ends what makes it
 */
export async function diskUpper(
  parent: string,
  holder: Holder,
  log: Log,
  signal?: AbortSignal,
): Promise<Upper> {
  const { pid, startTime, namespace, boot } = ownIdentity();
  const path = join(parent, `scratch-${pid}-${startTime}-${namespace}-${boot}-${uniqueDigits()}`);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (cause) {
    throw new TestbedError(`cannot make a scratch on disk in ${parent}: ${reasonOf(cause)}`, {
      code: 'BAD_SCRATCH',
      remedy: `start again, or name another directory with ${option('scratch')}`,
      cause,
    });
  }
  try {
    // The parent may have set the set-group-ID bit.
    chmodSync(path, 0o700);
    await holder.giveToRoot(path, log, signal);
  } catch (error) {
    rmdirSync(path);
    throw error;
  }
  const remove = () => removeScratch(path, holder, log);
  return { where: holder.inside(path), onDisk: true, largePages: false, remove };
}

/** Only root of the holder may delete files of the testbed's users, and the work directory of overlayfs (mode 000). */
async function removeScratch(path: string, holder: Holder, log: Log): Promise<void> {
  const result = await runHost(holder.enter(['find', holder.inside(path), '-mindepth', '1', '-delete']), log);
  try {
    rmdirSync(path);
  } catch (cause) {
    if (systemCodeOf(cause) === 'ENOENT') return;
    // It belongs to another user: in a directory with the sticky bit, such as /tmp, only root of the stage may remove it.
    if (systemCodeOf(cause) === 'EPERM' && (await holder.removeFolder(path, log))) return;
    throw new TestbedError(
      `cannot remove the scratch ${path}: ${briefWords(result.stderr) || reasonOf(cause)}`,
      {
        code: 'LEFT_OVER',
        remedy: 'remove it by hand',
        cause,
      },
    );
  }
}

/** Removes the scratch directories of killed servers. A failure is reported and does not stop the testbed. */
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

function isAbandoned(parent: string, name: string): boolean {
  const [, pid, startTime = '', namespace = '', boot = ''] = NAME.exec(name) ?? [];
  if (pid === undefined) return false;
  return !isAliveAnywhere({ pid: Number(pid), startTime, namespace, boot }, join(parent, name));
}

function isOurs(path: string, holder: Holder): boolean {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there?.isDirectory() !== true) return false;
  return there.uid === process.geteuid?.() || insideUser(holder.idMap, there.uid) === 0;
}
