import assert from 'node:assert/strict';
import type { Step } from '../../../src/namespaces/steps.ts';
import { checkLayers, copyRoot, kernelMounts, layerSteps, overlayRoot } from '../../../src/testbed/mounts.ts';

/** What is mounted where: the arguments of the steps that mount. */
function mounts(steps: readonly Step[]): { readonly how: string; readonly on: string }[] {
  return steps.flatMap(([name, , first = '', second = '']) =>
    name === 'mount' || name === 'bind' ? [{ how: name === 'mount' ? first : 'bind', on: second }] : [],
  );
}

describe('mounts', () => {
  it('put an overlay over the layers, the topmost first, and continue below it', () => {
    const layer = { upper: '/mnt/layers/1/upper', work: '/mnt/layers/1/work' };
    assert.deepEqual(overlayRoot(['/mnt/skeleton', '/mnt/0/base'], { ...layer, volatile: true }), [
      ['directory', 'making the directory /mnt/layers/1/work', '/mnt/layers/1/work', '0755'],
      [
        'mount',
        'mounting overlay on /mnt/root',
        'overlay',
        '/mnt/root',
        'lowerdir=/mnt/skeleton:/mnt/0/base,upperdir=/mnt/layers/1/upper,workdir=/mnt/layers/1/work,userxattr,volatile',
      ],
      ['root', 'opening the root /mnt/root', '/mnt/root'],
    ]);
  });

  it('name each layer alone where a string of all is longer than fsconfig(2) takes', () => {
    const many = Array.from({ length: 20 }, (_, index) => `/mnt/layers/${index}/upper`);
    const [, mount] = overlayRoot(many, { upper: '/mnt/layers/20/upper', work: '/mnt/layers/20/work' });
    const options = mount?.at(-1)?.split(',') ?? [];
    assert.deepEqual(
      options.slice(0, 20),
      many.map((path) => `lowerdir+=${path}`),
    );
    assert.ok(options.every((option) => option.length <= 255));
  });

  it('have a limit, which older kernels reach sooner', () => {
    const layers = (count: number) =>
      Array.from({ length: count }, (_, index) => `/mnt/layers/${index}/upper`);
    const fails = { code: 'TOO_MANY_LAYERS' };
    checkLayers(layers(500), '6.8.0-1-amd64');
    assert.throws(() => checkLayers(layers(501), '7.0.1'), fails);
    checkLayers(layers(10), '6.1.0-30-amd64');
    assert.throws(() => checkLayers(layers(20), '6.1.0-30-amd64'), fails);
  });

  it('keep the upper layer in a tmpfs, or in a directory', () => {
    const at = '/mnt/layers/1';
    assert.deepEqual(mounts(layerSteps(at, 'mode=755,size=1g')), [{ how: 'tmpfs', on: at }]);
    assert.deepEqual(mounts(layerSteps(at, '/mnt/1/scratch-1')), [{ how: 'bind', on: at }]);
  });

  it('bind the host’s /sys only where the network is the host’s', () => {
    const sys = (ownNetwork: boolean) =>
      mounts(
        kernelMounts({ ownNetwork, devices: [], ptsGroup: 5, bootId: 'ID', shm: '25%', run: '10%' }),
      ).find(({ on }) => on === '/sys')?.how;
    assert.equal(sys(false), 'bind');
    assert.equal(sys(true), 'sysfs');
  });

  it('do without a group that the id map does not have', () => {
    const pts = (ptsGroup: number | undefined) =>
      kernelMounts({ ownNetwork: false, devices: [], ptsGroup, bootId: 'ID', shm: '25%', run: '10%' })
        .find(([, , , path]) => path === '/dev/pts')
        ?.at(-1) ?? '';
    assert.match(pts(5), /gid=5/);
    assert.doesNotMatch(pts(undefined), /gid/);
  });

  it('come in an order in which none hides another', () => {
    const targets = mounts([
      ...copyRoot(['/mnt/skeleton', '/mnt/0/base'], '/mnt/layers/1/upper'),
      ...kernelMounts({
        ownNetwork: false,
        devices: ['null'],
        ptsGroup: 5,
        bootId: 'ID',
        shm: '25%',
        run: '10%',
      }),
    ]).map(({ on }) => on);
    for (const [index, target] of targets.entries()) {
      // This is wanted: see the comment there.
      if (target === '/run/proc') continue;
      const later = targets.slice(index + 1);
      assert.ok(
        !later.some((other) => target.startsWith(`${other}/`)),
        `${target} is hidden by a later mount`,
      );
    }
  });
});
