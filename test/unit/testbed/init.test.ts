import assert from 'node:assert/strict';
import { initOf, rebootSignal, runtimeSteps } from '../../../src/testbed/init.ts';
import { kernelMounts } from '../../../src/testbed/mounts.ts';

const found = { event: 'init', path: '/sbin/init', name: 'systemd', machine: 1 };
const none = { event: 'init', path: '', name: '', machine: 1 };

describe('an init of the root filesystem', () => {
  it('is systemd or another one, whatever its path is', () => {
    assert.deepEqual(initOf(found, 'image'), { path: '/sbin/init', kind: 'systemd' });
    assert.deepEqual(initOf({ ...found, name: 'busybox' }, 'auto'), { path: '/sbin/init', kind: 'other' });
    assert.equal(rebootSignal({ path: '/sbin/init', kind: 'systemd' }), 39);
    assert.equal(rebootSignal({ path: '/sbin/init', kind: 'other' }), 2);
  });

  it('that is missing is an error, except with auto', () => {
    assert.equal(initOf(none, 'auto'), undefined);
    for (const choice of ['image', 'systemd', '/sbin/other'] as const) {
      assert.throws(() => initOf(none, choice), { code: 'NO_INIT', message: /systemd-sysv/ });
    }
    assert.throws(() => initOf(none, '/sbin/other'), /no program \/sbin\/other/);
  });

  it('has masked units only where it is systemd', () => {
    assert.deepEqual(runtimeSteps({ path: '/sbin/init', kind: 'other' }, { records: true }), []);
    const linksWith = (records: boolean) =>
      runtimeSteps({ path: '/sbin/init', kind: 'systemd' }, { records }).flatMap(([name, , path, target]) =>
        name === 'link' ? [`${path} → ${target}`] : [],
      );
    const links = linksWith(true);
    assert.ok(links.includes('/run/systemd/system/sys-kernel-debug.mount → /dev/null'));
    assert.ok(links.includes('/run/systemd/system-generators/systemd-cryptsetup-generator → /dev/null'));
    // The installation of udev starts its service by an alias.
    assert.ok(!links.some((link) => link.includes('udev')));
    assert.deepEqual(
      links.filter((link) => !linksWith(false).includes(link)),
      ['systemd-update-utmp.service', 'systemd-update-utmp-runlevel.service'].map(
        (unit) => `/run/systemd/system/${unit} → /dev/null`,
      ),
    );
    // Its services of sysvinit, and its file systems, where it has some.
    assert.ok(!links.some((link) => /-(sysv|fstab)-generator/.test(link)));
    assert.ok(
      links.every((link) => /^\/run\/systemd\/system(-generators)?\/[a-z0-9_@.-]+ → \/dev\/null$/.test(link)),
    );
  });

  it('has /dev and its cgroups mounted, and /sys read-only', () => {
    const options = { ownNetwork: true, devices: ['null'], ptsGroup: 5, bootId: 'ID', shm: '1m', run: '1m' };
    const mounted = (init?: { path: string; kind: 'systemd' }) =>
      kernelMounts({ ...options, ...(init === undefined ? {} : { init }) }).flatMap(([name, , ...words]) =>
        name === 'mount' ? [words.join(' ')] : [],
      );
    const with_ = mounted({ path: '/sbin/init', kind: 'systemd' });
    assert.ok(with_.includes('sysfs /sys nosuid,nodev,noexec,ro'));
    assert.ok(with_.includes('cgroup2 /sys/fs/cgroup nosuid,nodev,noexec'));
    assert.ok(with_.includes('mqueue /dev/mqueue nosuid,nodev,noexec'));
    assert.ok(
      with_.indexOf('tmpfs /dev mode=0755,nosuid,size=512k') <
        with_.findIndex((each) => each.startsWith('devpts')),
    );
    assert.ok(mounted().includes('sysfs /sys nosuid,nodev,noexec'));
    assert.ok(!mounted().some((each) => / \/dev |cgroup/.test(each)));
  });
});
