import assert from 'node:assert/strict';
import { memoryLimit } from '../../../src/namespaces/memory-limit.ts';

const UNIFIED = '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate';

function limitWith(files: Readonly<Record<string, string>>): number | undefined {
  return memoryLimit((path) => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    return text;
  });
}

function inGroup(
  group: string,
  limits: Readonly<Record<string, string>>,
  mount = UNIFIED,
): number | undefined {
  return limitWith({ '/proc/self/mountinfo': `${mount}\n`, '/proc/self/cgroup': `0::${group}\n`, ...limits });
}

describe('the memory of the cgroup of this process', () => {
  it('is that of its unit', () => {
    const limits = {
      '/sys/fs/cgroup/app.slice/run.scope/memory.max': '314572800\n',
      '/sys/fs/cgroup/app.slice/run.scope/memory.high': 'max\n',
      '/sys/fs/cgroup/app.slice/memory.max': 'max\n',
    };
    assert.equal(inGroup('/app.slice/run.scope', limits), 314_572_800);
  });

  it('is the least of those above it, and of what slows it down', () => {
    const limits = {
      '/sys/fs/cgroup/user.slice/session.scope/memory.max': '4000\n',
      '/sys/fs/cgroup/user.slice/memory.max': '3000\n',
      '/sys/fs/cgroup/user.slice/memory.high': '2000\n',
    };
    assert.equal(inGroup('/user.slice/session.scope', limits), 2000);
  });

  it('is that of a container, whose cgroup is the top of what it sees', () => {
    const limits = { '/sys/fs/cgroup/memory.max': '1000\n' };
    assert.equal(inGroup('/', limits), 1000);
    const own = '30 23 0:26 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup2 rw';
    assert.equal(inGroup('/docker/1', limits, own), 1000);
  });

  it('has no limit: none is set, no controller, no cgroups, no /proc', () => {
    assert.equal(inGroup('/a/b', { '/sys/fs/cgroup/a/b/memory.max': 'max\n' }), undefined);
    assert.equal(inGroup('/a/b', {}), undefined);
    assert.equal(
      inGroup('/a/b', { '/sys/fs/cgroup/a/b/memory.max': '1\n' }, '1 2 0:1 / / rw - ext4 x rw'),
      undefined,
    );
    assert.equal(limitWith({}), undefined);
  });
});
