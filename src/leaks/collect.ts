/**
 * What a test left behind in a testbed, or a command of `run --host` in its namespaces: files, mounts, processes, IPC objects,
 * network interfaces. All is read from outside: no statement of a process inside is relied on, and no tool has to be inside.
 */
import { readFileSync } from 'node:fs';
import type { Log } from '../log.ts';
import type { Baseline } from './baseline.ts';
import type { Leak } from './leak.ts';
import { type Place as LookedAt, look } from './look.ts';
import { type ProcessPlace, processesOf } from './processes.ts';
import { newInterfaces, newMounts, printable } from './text.ts';

export interface Place extends LookedAt, ProcessPlace {
  readonly baseline: Baseline;
  /** A directory inside with files of the server, which are not leaks. */
  readonly scratchDirectory?: string;
  /** Paths inside that something of the host is bound at: they and the directories on the way are not leaks. */
  readonly boundAt?: readonly string[];
}

/**
 * All that is there and was not there when the baseline was read.
 * @throws TestbedError when the place has ended
 */
export async function collectLeaks(place: Place, log: Log): Promise<Leak[]> {
  const { pid, baseline, scratchDirectory, boundAt = [], held } = place;
  const { files, ipc } = await look(place, log);
  const mounts = newMounts(baseline.mounts, readFileSync(`/proc/${pid}/mountinfo`, 'latin1'));
  // Held directories have mount points of the command among their entries; a mount is one leak, not two.
  const mountPoints = new Set(held === undefined ? [] : mounts.map(({ path }) => path));
  const isOwn = ({ path, type }: { readonly path: string; readonly type: string }) =>
    mountPoints.has(path) ||
    (TOP.has(path) && type === 'directory') ||
    isIn(path, scratchDirectory) ||
    boundAt.some((point) => `${printable(Buffer.from(point))}/`.startsWith(`${path}/`));
  return [
    ...files.filter((file) => !isOwn(file)),
    ...mounts,
    ...processesOf(place),
    ...ipc,
    ...(baseline.interfaces === undefined
      ? []
      : newInterfaces(baseline.interfaces, readFileSync(`/proc/${pid}/net/dev`, 'latin1'))),
  ];
}

/** The directories for temporary files, and one that is made in them when a testbed is made. */
const TOP = new Set(['/tmp', '/var/tmp', '/run', '/run/lock', '/dev/shm']);

function isIn(path: string, directory: string | undefined): boolean {
  if (directory === undefined) return false;
  const name = printable(Buffer.from(directory));
  return path === name || path.startsWith(`${name}/`);
}
