/** What a test has left, read from outside, so that no process inside can falsify it. */
import { TestbedError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type Baseline, readBaseline } from './baseline.ts';
import { type Leak, newLeaks } from './leak.ts';
import { type Place as LookedAt, look } from './look.ts';
import { type ProcessPlace, processesOf } from './processes.ts';
import { newInterfaces, newMounts, printable } from './text.ts';

export interface Place extends LookedAt, ProcessPlace {
  readonly baseline: Baseline;
  readonly scratchDirectory?: string;
  /** Paths inside at which something of the host is bound; they and their parents are not leaks. */
  readonly boundAt?: readonly string[];
}

/** @throws TestbedError when the place has ended */
export async function collectLeaks(place: Place, log: Log): Promise<Leak[]> {
  const { booted } = place.baseline;
  if (booted === undefined) return collectAll(place, log);
  return newLeaks(
    booted,
    (await collectAll(place, log)).filter((leak) => !isOfSystemd(leak)),
  );
}

/** Files in which systemd keeps its state. They change with each unit. */
const STATE =
  /^\/(run\/(systemd|log\/journal|credentials|udev|user\/\d+)|(var\/)?tmp\/systemd-private-[^/]*|dev\/shm\/systemd-[^/]*)(\/|$)/;

function isOfSystemd(leak: Leak): boolean {
  return (leak.kind === 'file' || leak.kind === 'mount') && STATE.test(leak.path);
}

async function collectAll(place: Place, log: Log): Promise<Leak[]> {
  const { pid, baseline, scratchDirectory, boundAt = [], held } = place;
  const { files, ipc } = await look(place, log);
  const now = readNow(pid, baseline);
  const mounts = newMounts(baseline.mounts, now.mounts);
  const mountPoints = new Set(held === undefined ? [] : mounts.map(({ path }) => path));
  const isOwn = ({ path, type }: { readonly path: string; readonly type: string }) =>
    mountPoints.has(path) ||
    (TOP.has(path) && type === 'directory') ||
    (path === '/run/utmp' && type === 'file') ||
    isIn(path, scratchDirectory) ||
    boundAt.some((point) => `${printable(Buffer.from(point))}/`.startsWith(`${path}/`));
  return [
    ...files.filter((file) => !isOwn(file)),
    ...mounts,
    ...processesOf(place),
    ...ipc,
    ...newInterfaces(baseline.interfaces ?? '', now.interfaces ?? ''),
  ];
}

function readNow(pid: number, { interfaces }: Baseline): Baseline {
  try {
    return readBaseline(pid, interfaces !== undefined);
  } catch (cause) {
    throw new TestbedError('looking for what was left behind failed: the testbed has ended', {
      code: 'TESTBED_ENDED',
      cause,
    });
  }
}

const TOP = new Set(['/tmp', '/var/tmp', '/run', '/run/lock', '/dev/shm']);

function isIn(path: string, directory: string | undefined): boolean {
  if (directory === undefined) return false;
  const name = printable(Buffer.from(directory));
  return path === name || path.startsWith(`${name}/`);
}
