/** Testbeds of other architectures, executed by qemu, without a registration by the administrator. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf, VirtError } from '../../../src/errors.ts';
import { hostArchitecture } from '../../../src/rootfs/release.ts';
import { testTarball } from '../../support/rootfs.ts';
import { script, testProvider } from '../../support/testbed.ts';

const NAMES = { arm64: 'aarch64', riscv64: 'riscv64' } as const;

describe('another architecture', function () {
  this.timeout('2m');

  for (const [arch, name] of Object.entries(NAMES)) {
    it(`${arch}: opens, runs commands, copies, reverts and closes`, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
      const tarball = testTarball(arch === 'arm64' ? 'arm64' : 'riscv64');
      const provider = testProvider({ root: { tarball, arch } });
      try {
        const testbed = await provider.open();
        assert.equal((await script(testbed, 'uname -m')).stdout, `${name}\n`);
        // The name that it was called by reaches the program.
        assert.equal(
          (await script(testbed, 'ln -s /bin/busybox /tmp/uname; /tmp/uname -m')).stdout,
          `${name}\n`,
        );
        writeFileSync(join(folder, 'in'), 'text\n');
        await testbed.copyIn(Buffer.from(join(folder, 'in')), Buffer.from('/tmp/in'));
        assert.equal((await script(testbed, 'cat /tmp/in; exit 3')).status, 3);
        await testbed.revert();
        assert.equal((await script(testbed, 'cat /tmp/in 2>&1')).status, 1);
        await testbed.copyIn(Buffer.from(`${folder}/`), Buffer.from('/tmp/tree/'));
        await testbed.copyOut(Buffer.from('/tmp/tree/'), Buffer.from(`${folder}/out/`));
        assert.deepEqual(readdirSync(join(folder, 'out')), ['in']);
        await testbed.close();
      } finally {
        await provider.dispose();
        rmSync(folder, { recursive: true });
      }
    });
  }

  it('registers nothing on the machine', async () => {
    const registered = () => readdirSync('/proc/sys/fs/binfmt_misc').sort();
    const before = registered();
    const provider = testProvider({ root: { tarball: testTarball('arm64') } });
    try {
      await provider.open();
      assert.deepEqual(registered(), before);
    } finally {
      await provider.dispose();
    }
  });

  it('is an error where --arch names another than the root filesystem has', async () => {
    const provider = testProvider({ root: { tarball: testTarball(), arch: 'arm64' } });
    try {
      await assert.rejects(
        () => provider.open(),
        (error) => {
          assert.ok(error instanceof VirtError, messageOf(error));
          assert.equal(error.code, 'WRONG_ARCHITECTURE');
          assert.match(error.message, new RegExp(`of ${hostArchitecture()}, but arch is arm64`));
          return true;
        },
      );
    } finally {
      await provider.dispose();
    }
  });
});
