/**
 * Where the cgroups of testbeds with an init of their own are made (cgroups(7), version 2): in the cgroup of this process, so that
 * its limits hold for them and they end with it.
 */
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { reasonOf, TestbedError } from '../errors.ts';
import { isAliveAnywhere, ownIdentity } from '../processes/identity.ts';
import { uniqueDigits } from '../random.ts';

export type FoundCgroup =
  | { readonly path: string; readonly why?: undefined }
  | { readonly path?: undefined; readonly why: string; readonly remedy: string };

/** What a server has: its own directory, and those of servers that were killed. */
export interface Groups {
  readonly own: string;
  readonly abandoned: readonly string[];
}

interface Surroundings {
  /** /proc/self/mountinfo. */
  readonly mounts: string;
  /** /proc/self/cgroup. */
  readonly own: string;
  readonly isRoot: boolean;
  /** Throws when this user may not write there. */
  readonly mayWrite: (path: string) => void;
}

export function findCgroup(): FoundCgroup {
  try {
    return chooseCgroup({
      mounts: readFileSync('/proc/self/mountinfo', 'latin1'),
      own: readFileSync('/proc/self/cgroup', 'latin1'),
      isRoot: process.geteuid?.() === 0,
      mayWrite: (path) => accessSync(path, constants.W_OK),
    });
  } catch (error) {
    return { why: reasonOf(error), remedy: 'mount /proc' };
  }
}

export function chooseCgroup({ mounts, own, isRoot, mayWrite }: Surroundings): FoundCgroup {
  const place = ownCgroup({ mounts, own });
  if (place === undefined) {
    return {
      why: 'no file system of cgroups of version 2 is mounted',
      remedy: 'as root: mount -t cgroup2 none /sys/fs/cgroup',
    };
  }
  const { folder } = place;
  try {
    for (const each of [folder, join(folder, 'cgroup.procs')]) mayWrite(each);
    return { path: folder };
  } catch (error) {
    const why = `this user may not write to the cgroup ${folder}: ${reasonOf(error)}`;
    const remedy = isRoot
      ? 'let the container write to /sys/fs/cgroup, such as: podman run --cgroupns=private --security-opt unmask=/sys/fs/cgroup'
      : ordinaryRemedy(folder);
    return { why, remedy };
  }
}

/** A service of the system with `User=` has no user manager that could make a scope. */
function ordinaryRemedy(folder: string): string {
  const [, service] = /\/system\.slice\/(?:[^/]+\.slice\/)*([^/]+\.service)(?:\/|$)/.exec(folder) ?? [];
  return service === undefined
    ? 'start this program by: systemd-run --user --scope -p Delegate=yes -- COMMAND'
    : `set Delegate=yes in the section [Service] of ${service} (systemctl edit ${service}), and restart it`;
}

/** The directory of this process's cgroup, and that of the highest one that can be seen; undefined where none is mounted. */
export function ownCgroup({
  mounts,
  own,
}: Pick<Surroundings, 'mounts' | 'own'>): { readonly folder: string; readonly top: string } | undefined {
  const [mount] = mounts.split('\n').flatMap(cgroupMount);
  const path = /^0::(\/.*)$/m.exec(own)?.[1];
  return mount === undefined || path === undefined
    ? undefined
    : { folder: placeIn(mount, path), top: mount.point };
}

function cgroupMount(line: string): { root: string; point: string }[] {
  const [front = '', back = ''] = line.split(' - ');
  const [, , , root = '', point = ''] = front.split(' ');
  return back.startsWith('cgroup2 ') ? [{ root, point }] : [];
}

/** A container may have a part of the tree mounted, and not the cgroup of this process. */
function placeIn({ root, point }: { root: string; point: string }, path: string): string {
  const below =
    root === '/' ? path : path === root || path.startsWith(`${root}/`) ? path.slice(root.length) : '';
  return below === '/' || below.split('/').includes('..') ? point : join(point, below);
}

const NAME = /^virt-ts-unshare-(\d+)-(\d+)-(\d+)-([0-9a-f]+)-\d+$/;

/** @throws TestbedError with code NO_CGROUP */
export function chooseGroups(found = findCgroup()): Groups {
  if (found.path === undefined) throw noCgroup(found);
  const { path } = found;
  const { pid, startTime, namespace, boot } = ownIdentity();
  const own = join(path, `virt-ts-unshare-${pid}-${startTime}-${namespace}-${boot}-${uniqueDigits()}`);
  return {
    own,
    abandoned: readdirSync(path).flatMap((name) => (isAbandoned(path, name) ? [join(path, name)] : [])),
  };
}

function isAbandoned(parent: string, name: string): boolean {
  const [, pid, startTime = '', namespace = '', boot = ''] = NAME.exec(name) ?? [];
  if (pid === undefined) return false;
  return !isAliveAnywhere({ pid: Number(pid), startTime, namespace, boot }, join(parent, name));
}

export function noCgroup({ why, remedy }: { readonly why: string; readonly remedy: string }): TestbedError {
  return new TestbedError(`an init of the testbed's own needs a cgroup: ${why}`, {
    code: 'NO_CGROUP',
    remedy,
  });
}
