/** The mounts of a testbed as data, in the order in which they are made. Pure. */

export interface Mount {
  /** Device or source path; a word of our choice where the type has none. */
  readonly source: string;
  /** Absolute path inside the testbed. */
  readonly target: string;
  /** `none` for a bind mount. */
  readonly type: string;
  readonly options: string;
}

/** Where the set-up assembles the root filesystem, in the testbed's mount namespace before pivot_root. */
const ROOT = '/mnt/root';
const SCRATCH = '/mnt/scratch';

/** fstab(5): white space, backslash and # in a field are written as octal escapes. */
function field(text: string): string {
  return text.replace(/[\s\\#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

/** The mounts as lines for `mount --all --fstab`. */
export function fstab(mounts: readonly Mount[]): string {
  return mounts
    .map(
      (m) =>
        [m.source, m.target === '/' ? ROOT : ROOT + m.target, m.type, m.options].map(field).join(' ') +
        ' 0 0',
    )
    .join('\n');
}

/** As a person would say it. */
export function describeMount(mount: Mount): string {
  return `${mount.type === 'none' ? mount.source : mount.type} on ${mount.target} (${mount.options})`;
}

/** The root: an overlay, lowest layer last. Paths are ours (/mnt/…), so no character needs an escape. */
export function overlayRoot(layers: readonly string[], volatile: boolean): Mount {
  // userxattr: a user namespace may not write trusted.* (Linux 5.11). volatile: nobody needs the scratch after a crash,
  // so no fsync(2) has to reach a disk (Linux 5.10).
  const options = [
    `lowerdir=${layers.join(':')}`,
    `upperdir=${SCRATCH}/upper`,
    `workdir=${SCRATCH}/work`,
    'userxattr',
    ...(volatile ? ['volatile'] : []),
  ];
  return { source: 'overlay', target: '/', type: 'overlay', options: options.join(',') };
}

/** The root as a plain tree. */
export function copyRoot(): Mount {
  return { source: `${SCRATCH}/upper`, target: '/', type: 'none', options: 'bind' };
}

/** What the kernel provides: /proc, /sys, /dev, and the memory-backed folders that a boot would make. */
export function kernelMounts({
  ownNetwork,
  devices,
  ptsGroup,
}: {
  readonly ownNetwork: boolean;
  /** The names below /dev to take from the host. */
  readonly devices: readonly string[];
  /** Group of new terminals, Debian's `tty`; undefined where the id map has no such group. */
  readonly ptsGroup: number | undefined;
}): Mount[] {
  const pts = [
    'newinstance',
    'ptmxmode=0666',
    'mode=0620',
    ...(ptsGroup === undefined ? [] : [`gid=${ptsGroup}`]),
  ];
  const tmpfs = (target: string, mode: string, ...more: string[]): Mount => ({
    source: 'tmpfs',
    target,
    type: 'tmpfs',
    options: [`mode=${mode}`, 'nosuid', 'nodev', ...more].join(','),
  });
  return [
    { source: 'proc', target: '/proc', type: 'proc', options: 'nosuid,nodev,noexec' },
    // Only the owner of a network namespace may mount its sysfs; the host's can be bound, with all that is below it.
    ownNetwork
      ? { source: 'sysfs', target: '/sys', type: 'sysfs', options: 'nosuid,nodev,noexec' }
      : { source: '/sys', target: '/sys', type: 'none', options: 'rbind' },
    { source: 'devpts', target: '/dev/pts', type: 'devpts', options: pts.join(',') },
    tmpfs('/dev/shm', '1777'),
    tmpfs('/run', '0755'),
    tmpfs('/run/lock', '1777', 'size=5m', 'X-mount.mkdir'),
    ...devices.map((name) => ({
      source: `/dev/${name}`,
      target: `/dev/${name}`,
      type: 'none',
      options: 'bind',
    })),
    // Nobody reads a testbed's console; a program that writes to it must neither fail nor reach the host's.
    ...(devices.includes('null')
      ? [{ source: '/dev/null', target: '/dev/console', type: 'none', options: 'bind' }]
      : []),
  ];
}

export function bindMount(source: string, target: string, readOnly = false): Mount {
  return { source, target, type: 'none', options: readOnly ? 'rbind,ro' : 'rbind' };
}
