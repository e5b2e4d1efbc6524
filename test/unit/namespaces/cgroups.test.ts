import assert from 'node:assert/strict';
import { chooseCgroup } from '../../../src/namespaces/cgroups.ts';

const UNIFIED = '30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n';
const HYBRID = `29 23 0:25 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 29 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 29 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
`;

function choose(
  mounts: string,
  own: string,
  { isRoot = false, writable = (_: string): boolean => true } = {},
) {
  return chooseCgroup({
    mounts,
    own,
    isRoot,
    mayWrite: (path) => {
      if (!writable(path)) throw new Error(`EACCES: permission denied, access '${path}'`);
    },
  });
}

describe('the cgroup for an init', () => {
  it('is made in that of this process', () => {
    const scope = '/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope';
    assert.deepEqual(choose(UNIFIED, `0::${scope}\n`), { path: `/sys/fs/cgroup${scope}` });
    assert.deepEqual(choose(UNIFIED, '0::/\n'), { path: '/sys/fs/cgroup' });
  });

  it('is of version 2, also where most controllers are of version 1', () => {
    assert.deepEqual(choose(HYBRID, '4:memory:/one\n1:cpu:/two\n0::/three\n'), {
      path: '/sys/fs/cgroup/unified/three',
    });
    assert.match(choose('', '4:memory:/one\n').why ?? '', /version 2/);
  });

  it('is found where a container has only a part of the tree', () => {
    const part = UNIFIED.replace(' / /sys', ' /docker/abc /sys');
    assert.deepEqual(choose(part, '0::/docker/abc/x\n'), { path: '/sys/fs/cgroup/x' });
    assert.deepEqual(choose(part, '0::/docker/abc\n'), { path: '/sys/fs/cgroup' });
    assert.deepEqual(choose(part, '0::/docker/abcd\n'), { path: '/sys/fs/cgroup' });
    assert.deepEqual(choose(UNIFIED, '0::/../other\n'), { path: '/sys/fs/cgroup' });
  });

  it('must let this user in, else the remedy fits the user', () => {
    const writable = (path: string) => !path.endsWith('/cgroup.procs');
    const session = choose(UNIFIED, '0::/user.slice/session-1.scope\n', { writable });
    assert.ok(session.path === undefined);
    assert.match(session.why, /session-1\.scope.*EACCES/);
    assert.match(session.remedy, /systemd-run --user --scope -p Delegate=yes/);
    const service = choose(UNIFIED, '0::/system.slice/system-ci.slice/ci@1.service/job\n', { writable });
    assert.ok(service.path === undefined);
    assert.match(service.remedy, /set Delegate=yes .* ci@1\.service \(systemctl edit ci@1\.service\)/);
    const container = choose(UNIFIED, '0::/\n', { isRoot: true, writable });
    assert.ok(container.path === undefined);
    assert.match(container.remedy, /container/);
  });
});
