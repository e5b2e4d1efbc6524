import { release as kernelRelease } from 'node:os';
import { TestbedError } from '../errors.ts';
import { ROOT } from '../namespaces/instance.ts';
import {
  bind,
  copy,
  detach,
  directory,
  file,
  link,
  mount,
  root,
  type Step,
  utmp,
} from '../namespaces/steps.ts';
import { DEVICE_LINKS, DEVICES } from './devices.ts';
import { type Init, runtimeSteps } from './init.ts';

/** Longer values of an option are refused by fsconfig(2). */
const LONGEST_VALUE = 255;

/** OVL_MAX_STACK of Linux. */
const MOST_LAYERS = 500;

/** @param release of the kernel, as uname(2) gives it. @throws TestbedError when an overlay cannot have so many lower layers */
export function checkLayers(layers: readonly string[], release = kernelRelease()): void {
  const [major = 0, minor = 0] = release.split('.').map(Number.parseFloat);
  const takesEachAlone = major > 6 || (major === 6 && minor >= 8);
  const together = layers.join(':').length;
  if (layers.length <= MOST_LAYERS && (takesEachAlone || together <= LONGEST_VALUE)) return;
  const limit = takesEachAlone
    ? `${MOST_LAYERS} layers`
    : `layers with ${LONGEST_VALUE} characters in their paths`;
  throw new TestbedError(
    `a testbed would have ${layers.length} layers, and this kernel takes at most ${limit}`,
    {
      code: 'TOO_MANY_LAYERS',
      remedy:
        'take fewer snapshots over each other (revert, or open from an earlier one), or make an image of one layer by rootfs export NAME | rootfs import - NEW',
    },
  );
}

/** A place for an upper layer: `where` are options of a tmpfs, or a directory of the holder. */
export function layerSteps(path: string, where: string): Step[] {
  return [
    root('/'),
    directory(path),
    where.startsWith('/') ? bind(where, path) : mount('tmpfs', path, where),
    directory(`${path}/upper`),
  ];
}

interface OverlayOptions {
  readonly upper: string;
  /** A directory for overlayfs on the file system of `upper`. A step makes it. */
  readonly work: string;
  readonly volatile?: boolean;
}

/** The lowest layer comes last. No path has a character that needs an escape. */
export function overlayRoot(
  layers: readonly string[],
  { upper, work, volatile = false }: OverlayOptions,
): Step[] {
  // userxattr: a user namespace may not write trusted.* (Linux 5.11). volatile: no fsync(2) has to reach a disk, since the
  // layer is not needed after a crash (Linux 5.10).
  const options = [
    ...lowerOptions(layers),
    `upperdir=${upper}`,
    `workdir=${work}`,
    'userxattr',
    ...(volatile ? ['volatile'] : []),
  ];
  return [directory(work), mount('overlay', ROOT, options.join(',')), root(ROOT)];
}

/** The layers of an image as one tree, to be read only. */
export function lowerRoot(layers: readonly string[]): Step[] {
  return [root('/'), mount('overlay', ROOT, [...lowerOptions(layers), 'userxattr'].join(','))];
}

/** Short paths for the layers of an image, because kernels before 6.8 take few characters. */
export function shortLayers(layers: readonly string[]): { paths: readonly string[]; steps: readonly Step[] } {
  if (layers.length < 2) return { paths: layers, steps: [] };
  const paths = layers.map((_, index) => `/mnt/layers/i${index}`);
  const binds = paths.flatMap((path, index) => [directory(path), bind(layers[index] ?? '', path)]);
  return { paths, steps: [root('/'), ...binds] };
}

function lowerOptions(layers: readonly string[]): string[] {
  const together = layers.join(':');
  if (together.length > LONGEST_VALUE) return layers.map((layer) => `lowerdir+=${layer}`);
  return [`lowerdir=${together}`];
}

/** @param layers none: the copy is there already */
export function copyRoot(layers: readonly string[], upper: string): Step[] {
  const [only = '', ...more] = layers;
  const copies =
    more.length > 0
      ? [
          mount('overlay', ROOT, [...lowerOptions(layers), 'userxattr'].join(',')),
          copy(ROOT, upper),
          detach(ROOT),
        ]
      : layers.map(() => copy(only, upper));
  return [...copies, bind(upper, ROOT), root(ROOT)];
}

const PLAIN = 'nosuid,nodev,noexec';

export function kernelMounts({
  ownNetwork,
  devices,
  ptsGroup,
  ownProc = true,
  bootId,
  init,
  records = false,
  shm,
  run,
}: {
  readonly ownNetwork: boolean;
  readonly devices: readonly string[];
  /** Group of new terminals, Debian's `tty`; undefined where the id map has no such group. */
  readonly ptsGroup: number | undefined;
  /** False: that of this machine, which shows the pids of this machine. */
  readonly ownProc?: boolean;
  readonly bootId: string;
  readonly init?: Init | undefined;
  /** The root filesystem has utmp(5) in the format of this machine. */
  readonly records?: boolean;
  /** Sizes of these file systems, as of tmpfs(5). */
  readonly shm: string;
  readonly run: string;
}): Step[] {
  const pts = [
    'newinstance',
    'ptmxmode=0666',
    'mode=0620',
    ...(ptsGroup === undefined ? [] : [`gid=${ptsGroup}`]),
  ];
  return [
    ownProc ? mount('proc', '/proc', PLAIN) : bind('/proc', '/proc'),
    // A file system below the next one. It has the boot id, which differs after a reboot, and a /proc without mounts in it: else
    // the kernel refuses another /proc in user namespaces that are made inside (bubblewrap, a testbed in the testbed).
    mount('tmpfs', '/run', `mode=0700,size=64k,${PLAIN}`),
    ...(ownProc ? [directory('/run/proc'), mount('proc', '/run/proc', PLAIN)] : []),
    file('/run/boot_id', `${bootId}\n`, '0444'),
    bind(`${ROOT}/run/boot_id`, '/proc/sys/kernel/random/boot_id', 'ro'),
    // Only the owner of a network namespace may mount its sysfs.
    ...(init === undefined ? [system(ownNetwork)] : initMounts(ownNetwork)),
    mount('devpts', '/dev/pts', pts.join(',')),
    // Else systemd mounts it, by a mount(8) that the image may lack.
    ...(init === undefined ? [] : [mount('mqueue', '/dev/mqueue', PLAIN)]),
    mount('tmpfs', '/dev/shm', `mode=1777,nosuid,nodev,size=${shm}`),
    mount('tmpfs', '/run', `mode=0755,nosuid,nodev,size=${run}`),
    // Other inits than systemd record their boot themselves.
    utmp(records && init?.kind === 'systemd' ? 'boot' : 'empty'),
    ...(init === undefined ? [] : runtimeSteps(init, { records })),
    directory('/run/lock'),
    mount('tmpfs', '/run/lock', 'mode=1777,nosuid,nodev,size=5m'),
    ...devices.map((name) => bind(`/dev/${name}`, `/dev/${name}`)),
    // A program that writes to the console must neither fail nor reach the host's.
    ...(devices.includes('null') ? [bind('/dev/null', '/dev/console')] : []),
  ];
}

function system(ownNetwork: boolean, ...options: readonly 'ro'[]): Step {
  return ownNetwork
    ? mount('sysfs', '/sys', [PLAIN, ...options].join(','))
    : bind('/sys', '/sys', options.length > 0 ? 'ro' : 'rw');
}

/** As systemd.io/CONTAINER_INTERFACE has it: /sys is read-only but the cgroups, and /dev is a mount point. */
function initMounts(ownNetwork: boolean): Step[] {
  return [
    system(ownNetwork, 'ro'),
    mount('cgroup2', '/sys/fs/cgroup', PLAIN),
    mount('tmpfs', '/dev', 'mode=0755,nosuid,size=512k'),
    ...['/dev/net', '/dev/pts', '/dev/shm', '/dev/mqueue'].map((path) => directory(path)),
    ...[...DEVICES, 'console'].map((name) => file(`/dev/${name}`)),
    ...DEVICE_LINKS.map(([name, target]) => link(`/dev/${name}`, target)),
  ];
}
