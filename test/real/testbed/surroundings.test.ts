/** Where this machine is poor, as in a container of a CI service: made in a testbed, in which another one is opened. */
import assert from 'node:assert/strict';
import type { OpenTestbed } from '../../../src/testbed/types.ts';
import { bindNode, NODE, visible } from '../../support/node-inside.ts';
import { projectDir, testTarball } from '../../support/rootfs.ts';
import { describeWithUsers } from '../../support/skip.ts';
import { type Outcome, script, testProvider } from '../../support/testbed.ts';

const RUN = `${NODE} /opt/project/bin/virt-ts-unshare run --tarball /opt/root.tar`;

describeWithUsers('a testbed on a poor machine', function () {
  this.timeout('3m');
  const node = bindNode();
  const provider = testProvider({
    root: { tarball: testTarball('lab') },
    network: 'none',
    binds: [
      ...node.binds,
      visible(projectDir.slice(0, -1), '/opt/project'),
      visible(testTarball(), '/opt/root.tar'),
    ],
  });
  let machine: OpenTestbed;
  before(async () => {
    machine = await provider.open();
  });
  after(async () => {
    await provider.dispose();
    node.remove();
  });

  /** In mounts of its own, which the first lines change. */
  const poor = (change: string, command: string): Promise<Outcome> =>
    script(machine, `unshare --mount sh -c '${change}; export XDG_CACHE_HOME=/tmp/cache; ${command}'`);
  const complaints = ({ stderr }: Outcome) =>
    stderr.split('\n').filter((line) => line !== '' && !line.includes('left behind: '));

  it('has the /proc of the machine where parts of that are covered, and reports this', async () => {
    // A testbed has a whole /proc below its /run, which allows to mount another one.
    const cover = ['/run/proc', '/proc'].map((proc) => `mount --bind /dev/null ${proc}/timer_list`);
    const seen = await poor(
      ['umount /run/lock', 'umount /run', ...cover].join('; '),
      `${RUN} -- sh -c "cat /proc/self/comm; exit 7"`,
    );
    assert.equal(seen.status, 7, seen.stderr);
    assert.equal(seen.stdout, 'cat\n');
    assert.match(
      complaints(seen).join('\n'),
      /^virt-ts-unshare: parts of \/proc are covered .* sees the pids/,
    );
  });

  it('opens where control groups are read-only', async () => {
    const seen = await poor('mount -o remount,ro,bind /sys', `${RUN} -- echo opened`);
    assert.deepEqual([seen.stdout, complaints(seen)], ['opened\n', []]);
  });

  it('opens where the cache is on an overlay', async () => {
    const seen = await poor('true', `${RUN} --scratch=tmpfs -- echo opened`);
    assert.deepEqual([seen.stdout, complaints(seen)], ['opened\n', []]);
  });

  it('reports in one sentence that user namespaces are used up', async () => {
    const limit = '/proc/sys/user/max_user_namespaces';
    const seen = await poor(
      `echo 0 >${limit}`,
      `${RUN} -- true; status=$?; echo 1000 >${limit}; exit $status`,
    );
    assert.equal(seen.status, 253);
    assert.equal(complaints(seen).length, 1);
    assert.match(complaints(seen).join(), /user namespace.*; the limit of namespaces is reached/);
  });

  it('reports in one sentence that there is no /dev/net/tun', async () => {
    const seen = await poor('mount --bind /dev/null /dev/net/tun', `${RUN} --network=private -- true`);
    assert.equal(seen.status, 2, seen.stderr);
    assert.equal(complaints(seen).length, 1);
    assert.match(complaints(seen).join(), /--network/);
  });
});
