import { ROOT } from '../namespaces/instance.ts';
import { bind, copy, detach, directory, mount, root, type Step } from '../namespaces/steps.ts';

const SCRATCH = '/mnt/scratch';

export function scratchSteps(where: string): Step[] {
  return [
    where.startsWith('/') ? bind(where, SCRATCH) : mount('tmpfs', SCRATCH, where),
    directory(`${SCRATCH}/upper`),
    directory(`${SCRATCH}/work`),
  ];
}

/** The lowest layer comes last. `scratchSteps` has prepared `place`. No path has a character that needs an escape. */
export function overlayRoot(
  layers: readonly string[],
  { volatile = false, place = SCRATCH }: { readonly volatile?: boolean; readonly place?: string } = {},
): Step[] {
  // userxattr: a user namespace may not write trusted.* (Linux 5.11). volatile: no fsync(2) has to reach a disk, since the
  // scratch is not needed after a crash (Linux 5.10).
  const options = [
    `lowerdir=${layers.join(':')}`,
    `upperdir=${place}/upper`,
    `workdir=${place}/work`,
    'userxattr',
    ...(volatile ? ['volatile'] : []),
  ];
  return [mount('overlay', ROOT, options.join(',')), root(ROOT)];
}

export function copyRoot(layers: readonly string[]): Step[] {
  return [
    mount('overlay', ROOT, `lowerdir=${layers.join(':')},userxattr`),
    copy(ROOT, `${SCRATCH}/upper`),
    detach(ROOT),
    bind(`${SCRATCH}/upper`, ROOT),
    root(ROOT),
  ];
}

export function kernelMounts({
  ownNetwork,
  devices,
  ptsGroup,
}: {
  readonly ownNetwork: boolean;
  readonly devices: readonly string[];
  /** Group of new terminals, Debian's `tty`; undefined where the id map has no such group. */
  readonly ptsGroup: number | undefined;
}): Step[] {
  const pts = [
    'newinstance',
    'ptmxmode=0666',
    'mode=0620',
    ...(ptsGroup === undefined ? [] : [`gid=${ptsGroup}`]),
  ];
  return [
    mount('proc', '/proc', 'nosuid,nodev,noexec'),
    // Only the owner of a network namespace may mount its sysfs.
    ownNetwork ? mount('sysfs', '/sys', 'nosuid,nodev,noexec') : bind('/sys', '/sys'),
    mount('devpts', '/dev/pts', pts.join(',')),
    mount('tmpfs', '/dev/shm', 'mode=1777,nosuid,nodev'),
    mount('tmpfs', '/run', 'mode=0755,nosuid,nodev'),
    directory('/run/lock'),
    mount('tmpfs', '/run/lock', 'mode=1777,nosuid,nodev,size=5m'),
    ...devices.map((name) => bind(`/dev/${name}`, `/dev/${name}`)),
    // A program that writes to the console must neither fail nor reach the host's.
    ...(devices.includes('null') ? [bind('/dev/null', '/dev/console')] : []),
  ];
}
