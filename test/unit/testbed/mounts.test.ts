import assert from 'node:assert/strict';
import type { Step } from '../../../src/namespaces/steps.ts';
import { copyRoot, kernelMounts, overlayRoot, scratchSteps } from '../../../src/testbed/mounts.ts';

/** What is mounted where: the arguments of the steps that mount. */
function mounts(steps: readonly Step[]): { readonly how: string; readonly on: string }[] {
  return steps.flatMap(([name, , first = '', second = '']) =>
    name === 'mount' || name === 'bind' ? [{ how: name === 'mount' ? first : 'bind', on: second }] : [],
  );
}

describe('mounts', () => {
  it('put an overlay over the layers, the topmost first, and continue below it', () => {
    assert.deepEqual(overlayRoot(['/mnt/skeleton', '/mnt/0/base'], { volatile: true }), [
      [
        'mount',
        'mounting overlay on /mnt/root',
        'overlay',
        '/mnt/root',
        'lowerdir=/mnt/skeleton:/mnt/0/base,upperdir=/mnt/scratch/upper,workdir=/mnt/scratch/work,userxattr,volatile',
      ],
      ['root', 'opening the root /mnt/root', '/mnt/root'],
    ]);
  });

  it('keep the upper layer in a tmpfs, or in a directory', () => {
    assert.deepEqual(mounts(scratchSteps('mode=755,size=1g')), [{ how: 'tmpfs', on: '/mnt/scratch' }]);
    assert.deepEqual(mounts(scratchSteps('/mnt/1/scratch-1')), [{ how: 'bind', on: '/mnt/scratch' }]);
  });

  it('bind the host’s /sys only where the network is the host’s', () => {
    const sys = (ownNetwork: boolean) =>
      mounts(kernelMounts({ ownNetwork, devices: [], ptsGroup: 5 })).find(({ on }) => on === '/sys')?.how;
    assert.equal(sys(false), 'bind');
    assert.equal(sys(true), 'sysfs');
  });

  it('do without a group that the id map does not have', () => {
    const pts = (ptsGroup: number | undefined) =>
      kernelMounts({ ownNetwork: false, devices: [], ptsGroup })
        .find(([, , , path]) => path === '/dev/pts')
        ?.at(-1) ?? '';
    assert.match(pts(5), /gid=5/);
    assert.doesNotMatch(pts(undefined), /gid/);
  });

  it('come in an order in which none hides another', () => {
    const targets = mounts([
      ...copyRoot(['/mnt/skeleton', '/mnt/0/base']),
      ...kernelMounts({ ownNetwork: false, devices: ['null'], ptsGroup: 5 }),
    ]).map(({ on }) => on);
    for (const [index, target] of targets.entries()) {
      const later = targets.slice(index + 1);
      assert.ok(
        !later.some((other) => target.startsWith(`${other}/`)),
        `${target} is hidden by a later mount`,
      );
    }
  });
});
