import assert from 'node:assert/strict';
import {
  bindMount,
  copyRoot,
  describeMount,
  fstab,
  kernelMounts,
  overlayRoot,
} from '../../../src/testbed/mounts.ts';

describe('mounts', () => {
  it('become lines of fstab(5) below the folder where the root is assembled', () => {
    const lines = fstab([
      overlayRoot(['/mnt/skeleton', '/mnt/0/base'], false),
      bindMount('/mnt/3', '/srv/data'),
    ]);
    assert.equal(
      lines,
      [
        'overlay /mnt/root overlay lowerdir=/mnt/skeleton:/mnt/0/base,upperdir=/mnt/scratch/upper,workdir=/mnt/scratch/work,userxattr 0 0',
        '/mnt/3 /mnt/root/srv/data none rbind 0 0',
      ].join('\n'),
    );
  });

  it('keep white space, backslash and # of a path in one field', () => {
    assert.equal(
      fstab([bindMount('/mnt/3', '/a b\tc\nd\\e#f')]),
      '/mnt/3 /mnt/root/a\\040b\\011c\\012d\\134e\\043f none rbind 0 0',
    );
  });

  it('bind the host’s /sys only where the network is the host’s', () => {
    const sys = (ownNetwork: boolean) =>
      kernelMounts({ ownNetwork, devices: [], ptsGroup: 5 }).find(({ target }) => target === '/sys')?.type;
    assert.equal(sys(false), 'none');
    assert.equal(sys(true), 'sysfs');
  });

  it('do without a group that the id map does not have', () => {
    const pts = (ptsGroup: number | undefined) =>
      kernelMounts({ ownNetwork: false, devices: [], ptsGroup }).find(({ target }) => target === '/dev/pts')
        ?.options;
    assert.match(pts(5) ?? '', /gid=5/);
    assert.doesNotMatch(pts(undefined) ?? '', /gid/);
  });

  it('come in an order in which each finds the folder it is mounted on', () => {
    const targets = [copyRoot(), ...kernelMounts({ ownNetwork: false, devices: ['null'], ptsGroup: 5 })].map(
      ({ target }) => target,
    );
    for (const [index, target] of targets.entries()) {
      const later = targets.slice(index + 1);
      assert.ok(
        !later.some((other) => target.startsWith(`${other}/`)),
        `${target} is hidden by a later mount`,
      );
    }
  });

  it('are described as a person would', () => {
    assert.equal(describeMount(bindMount('/mnt/3', '/srv')), '/mnt/3 on /srv (rbind)');
  });
});
