/** A reboot: the files stay, all else is new. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { TestbedError } from '../../../src/errors.ts';
import { Testbed as LibraryTestbed } from '../../../src/library/testbed.ts';
import { isAlive, nameOf } from '../../../src/processes/identity.ts';
import { testTarball } from '../../support/rootfs.ts';
import { describeWithUsers } from '../../support/skip.ts';
import { script, testProvider } from '../../support/testbed.ts';

const BOOT_ID = 'cat /proc/sys/kernel/random/boot_id';
/** reboot(2), whose number depends on the machine, with this command. */
const rebootCall = (command: string) =>
  `perl -e 'syscall($ARGV[0], 0xfee1dead, 672274793, ${command}, 0)' $(test $(uname -m) = x86_64 && echo 169 || echo 142)`;

describeWithUsers('a reboot', function () {
  this.timeout(60_000);

  for (const mode of ['overlay', 'copy'] as const) {
    it(`keeps files, ends processes, and has fresh file systems in memory (${mode})`, async () => {
      const provider = testProvider({ network: 'none', mode });
      try {
        const testbed = await provider.open();
        const before = await script(
          testbed,
          `${BOOT_ID}; ${BOOT_ID}; touch /root/kept /run/lost /dev/shm/lost; sleep 1000 >/dev/null 2>&1 &`,
        );
        const [id, again] = before.stdout.trim().split('\n');
        assert.match(id ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        assert.equal(again, id);
        const pid1 = nameOf(testbed.pid);
        const [program = '', ...words] = testbed.executeCommand;
        await testbed.reboot();
        assert.equal(isAlive(pid1), false);
        assert.deepEqual(await testbed.leaks(), []);
        const after = await script(
          testbed,
          `${BOOT_ID}; ls -d /root/kept /run/lost /dev/shm/lost /run/utmp 2>/dev/null`,
        );
        const [newId, ...files] = after.stdout.trim().split('\n');
        assert.notEqual(newId, id);
        assert.deepEqual(files, ['/root/kept', '/run/utmp']);
        // A driver asks for the execute command only once.
        assert.equal(
          execFileSync(program, [...words, 'sh', '-c', BOOT_ID], { encoding: 'utf8' }).trim(),
          newId,
        );
        await testbed.revert();
        assert.equal((await script(testbed, 'ls /root/kept 2>/dev/null')).stdout, '');
        assert.throws(() => execFileSync(program, [...words, 'true'], { stdio: 'ignore' }), { status: 255 });
      } finally {
        await provider.dispose();
      }
    });
  }

  it('from inside is the reason that the library gives for the end of a command', async () => {
    const testbed = await LibraryTestbed.open({ rootfs: testTarball() });
    try {
      const ended = {
        name: 'VirtError',
        code: 'REBOOTED',
        message: /^sh -c .* was ended by a reboot of the testbed; /,
      };
      await assert.rejects(testbed.run(`${rebootCall('0x01234567')}; sleep 1000`), ended);
      const started = await testbed.start(`${rebootCall('0x01234567')}; sleep 1000`);
      await assert.rejects(started.ended, ended);
      assert.equal((await testbed.run('echo next')).stdout, 'next\n');
    } finally {
      await testbed.close();
    }
  });

  it('from inside is one too, and what comes next waits for it', async () => {
    const provider = testProvider();
    try {
      const testbed = await provider.open();
      const before = await script(testbed, `${BOOT_ID}; touch /root/kept /run/lost`);
      const { status } = await script(testbed, `${rebootCall('0x01234567')}; sleep 1000`);
      assert.equal(status, 137);
      const after = await script(testbed, `${BOOT_ID}; ls /root/kept; ls /run/lost 2>/dev/null`);
      const [id, ...files] = after.stdout.trim().split('\n');
      assert.notEqual(id, before.stdout.trim());
      assert.deepEqual(files, ['/root/kept']);
      await testbed.reboot();
      assert.equal((await script(testbed, 'ls /root/kept')).stdout, '/root/kept\n');
      await testbed.close();
    } finally {
      await provider.dispose();
    }
  });

  it('is none when the testbed is powered off, which ends it', async () => {
    const provider = testProvider();
    try {
      const testbed = await provider.open();
      await assert.rejects(script(testbed, `${rebootCall('0x4321fedc')}; sleep 1000`), TestbedError);
      await assert.rejects(script(testbed, 'true'), TestbedError);
      await testbed.close();
      await (await provider.open()).close();
    } finally {
      await provider.dispose();
    }
  });

  it('does not prevent another /proc in a user namespace inside', async () => {
    const provider = testProvider({ root: { tarball: testTarball() } });
    try {
      const testbed = await provider.open();
      const text = 'unshare --user --map-root-user --pid --fork --mount --mount-proc ls /proc/1/comm';
      assert.deepEqual(await script(testbed, text), { status: 0, stdout: '/proc/1/comm\n', stderr: '' });
    } finally {
      await provider.dispose();
    }
  });
});
