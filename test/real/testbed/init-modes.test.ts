/** An init of the image in a copy of the tree, on the network of the host, in a laboratory, and in an image that was committed. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findCgroup } from '../../../src/namespaces/cgroups.ts';
import { Network } from '../../../src/network/laboratory.ts';
import type { Provider } from '../../../src/testbed/provider.ts';
import type { OpenTestbed, TestbedOptions } from '../../../src/testbed/types.ts';
import { virt } from '../../support/program.ts';
import { testTarball } from '../../support/rootfs.ts';
import { lack, ONLY_ROOT } from '../../support/skip.ts';
import { script, testProvider } from '../../support/testbed.ts';

const STATE = 'systemctl is-system-running; systemctl is-active cron';
const UP = 'running\nactive\n';

describe('an init of the image', function () {
  this.timeout(120_000);
  const providers: Provider[] = [];
  before(function () {
    if (ONLY_ROOT) lack(this, 'without subordinate ids there is no user but root');
    const { why } = findCgroup();
    if (why !== undefined) lack(this, why);
  });
  afterEach(() => Promise.all(providers.splice(0).map((provider) => provider.dispose())));

  function provide(changes: Partial<TestbedOptions> = {}): Provider {
    const root = { tarball: testTarball('init') };
    const provider = testProvider({ root, init: 'image', network: 'none', ...changes });
    providers.push(provider);
    return provider;
  }

  async function text(testbed: OpenTestbed, command: string): Promise<string> {
    return (await script(testbed, command)).stdout;
  }

  it('boots from a copy of the tree', async () => {
    assert.equal(await text(await provide({ mode: 'copy' }).open(), STATE), UP);
  });

  it('boots on the network of the host, where no testbed can write to the cgroups of another', async () => {
    const provider = provide({ network: 'host' });
    const first = await provider.open();
    assert.equal(await text(first, STATE), UP);
    await provider.open();
    const found = await text(
      first,
      `umount -l /sys/fs/cgroup
      mount -o remount,bind,rw $(sed -n 's,.* \\(/sys/fs/cgroup[^ ]*\\) .* - cgroup2 .*,\\1,p' /proc/self/mountinfo) && echo remounted
      find /sys/fs/cgroup -path '*/virt-ts-unshare-${process.pid}-*' -name cgroup.freeze >/tmp/files
      [ $(wc -l </tmp/files) -gt 10 ] && echo seen
      while read -r file; do ! echo 0 2>/dev/null >"$file" || echo written "$file"; done </tmp/files`,
    );
    assert.equal(found, 'seen\n');
  });

  it('boots on each host of a laboratory', async () => {
    const network = await Network.create({ subnet: '10.9.0.0/24' });
    try {
      const hosts = ['first', 'second'].map((hostname) =>
        provide({ hostname, network: network.member({ hostname }) }),
      );
      const [first, second] = await Promise.all(hosts.map((host) => host.open()));
      assert.ok(first !== undefined && second !== undefined);
      assert.equal(await text(first, STATE), UP);
      assert.equal(
        await text(second, 'systemctl is-system-running; getent hosts first | tr -s " "'),
        'running\n10.9.0.1 first\n',
      );
      await Promise.all(providers.splice(0).map((provider) => provider.dispose()));
    } finally {
      await network.close();
    }
  });

  it('has its services stopped while another process commits', async () => {
    const name = `vtu-init-stopped-${process.pid}`;
    const testbed = await provide({ hostname: name }).open();
    // Both are written by turns, so they are at most one step apart. What lies between them takes time to copy.
    await script(
      testbed,
      `cd /srv && echo 0 >a && seq 3000 | xargs touch && echo 0 >b
      systemd-run -q sh -c 'i=0; while :; do i=$((i+1)); echo $i >/srv/a; echo $i >/srv/b; done'
      until [ "$(cat b)" -gt 9 ]; do :; done 2>/dev/null`,
    );
    const { status, stdout } = await virt(['commit', name, name]);
    try {
      assert.equal(status, 0);
      const { layer } = JSON.parse(readFileSync(stdout.trim(), 'utf8'));
      const [a, b] = ['a', 'b'].map((file) =>
        readFileSync(join(stdout.trim(), '../../bases', layer, 'tree/root/srv', file), 'latin1').trim(),
      );
      assert.ok(a === '' || b === '' || [0, 1].includes(Number(a) - Number(b)), `${a} ${b}`);
    } finally {
      await Promise.all(providers.splice(0).map((provider) => provider.dispose()));
      assert.equal((await virt(['rootfs', 'remove', name])).status, 0);
    }
  });

  it('goes on after a commit, and boots from the image', async () => {
    const name = `vtu-init-${process.pid}`;
    const testbed = await provide().open();
    await script(testbed, 'systemctl disable --quiet --now cron; touch /root/kept /run/lost');
    const image = await testbed.commit({ name });
    try {
      assert.equal(await text(testbed, 'systemctl is-system-running; ls /run/lost'), 'running\n/run/lost\n');
      const next = await provide({ root: { release: name } }).open();
      assert.equal(
        await text(next, `${STATE}; ls /root/kept; ls /run/lost`),
        'running\ninactive\n/root/kept\n',
      );
    } finally {
      await Promise.all(providers.splice(0).map((provider) => provider.dispose()));
      assert.equal((await virt(['rootfs', 'remove', image])).status, 0);
    }
  });
});
