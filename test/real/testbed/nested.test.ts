/** What makes namespaces of its own runs in a testbed too: a testbed, bubblewrap, unshare. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import type { TestbedOptions } from '../../../src/testbed/types.ts';
import { bindNode, NODE, visible } from '../../support/node-inside.ts';
import { projectDir, testTarball } from '../../support/rootfs.ts';
import { describeWithUsers, lack } from '../../support/skip.ts';
import { type Outcome, script, testProvider } from '../../support/testbed.ts';

async function inTestbed(text: string, changes: Partial<TestbedOptions> = {}): Promise<Outcome> {
  const provider = testProvider(changes);
  try {
    return await script(await provider.open(), text);
  } finally {
    await provider.dispose();
  }
}

describeWithUsers('in a testbed', function () {
  this.timeout('3m');

  it('a testbed opens, reverts and closes', async () => {
    const requests = [
      'open',
      'command sh,-c,>/tmp/made',
      'revert',
      'command test,-e,/tmp/made',
      'close',
      'quit',
    ];
    const node = bindNode();
    const binds = [
      ...node.binds,
      visible(projectDir.slice(0, -1), '/opt/project'),
      visible(testTarball(), '/opt/root.tar'),
    ];
    const { stdout, stderr, status } = await inTestbed(
      `export XDG_CACHE_HOME=/tmp/cache; mkdir /tmp/cache
       printf '%s\\n' ${requests.map((request) => `'${request}'`).join(' ')} |
       ${NODE} /opt/project/bin/virt-ts-unshare --tarball /opt/root.tar`,
      { root: { tarball: testTarball('build') }, binds },
    ).finally(() => node.remove());
    assert.deepEqual(
      { status, stderr, replies: stdout.replaceAll(/\/tmp\/autopkgtest-virt\.\w+/g, 'SCRATCH').split('\n') },
      { status: 0, stderr: '', replies: ['ok', 'ok SCRATCH', 'ok 0', 'ok SCRATCH', 'ok 1', 'ok', 'ok', ''] },
    );
  });

  for (const [user, command] of [
    ['root', 'sh -c'],
    ['an ordinary user', 'su daemon -s /bin/sh -c'],
  ] as const) {
    it(`unshare makes namespaces and mounts, as ${user}`, async () => {
      const inner =
        'unshare --user --map-root-user --mount --pid --fork --mount-proc sh -c "echo \\$\\$; id -u"';
      const { stdout, stderr } = await inTestbed(`${command} '${inner}'`, { network: 'none' });
      assert.equal(stdout, '1\n0\n', stderr);
    });

    it(`bubblewrap makes a container, as ${user}`, async function () {
      if (!existsSync('/usr/bin/bwrap')) lack(this, 'there is no bubblewrap');
      const inner = 'bwrap --ro-bind / / --proc /proc --dev /dev --unshare-all echo made';
      const binds = [visible('/usr/bin/bwrap', '/usr/local/bin/bwrap')];
      const { stdout, stderr } = await inTestbed(`${command} '${inner}'`, { binds });
      assert.equal(stdout, 'made\n', stderr);
    });
  }
});
