/** What lies over the base of all testbeds, and opens that fail because a testbed cannot be made: see src/testbed/skeleton.ts. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestbedError } from '../../../src/errors.ts';
import { findProgram } from '../../../src/processes/find.ts';
import { namespaceOf } from '../../../src/processes/list.ts';
import type { TestbedOptions } from '../../../src/testbed/types.ts';
import { copyArchive } from '../../support/archive.ts';
import { Marker } from '../../support/left.ts';
import { processTree } from '../../support/processes.ts';
import { virt } from '../../support/program.ts';
import { testTarball } from '../../support/rootfs.ts';
import { describeWithUsers, itWithUsers } from '../../support/skip.ts';
import { script, testProvider, useTestbed } from '../../support/testbed.ts';

describe('an open whose skeleton cannot be filled', function () {
  this.timeout(60_000);
  let root: Marker;
  let scratch: string;
  beforeEach(() => {
    root = new Marker();
    chmodSync(root.folder, 0o755);
    for (const name of ['bin', 'etc']) mkdirSync(join(root.folder, name));
    cpSync(findProgram('busybox') ?? '', join(root.folder, 'bin/busybox'));
    symlinkSync('busybox', join(root.folder, 'bin/sh'));
    scratch = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-skeleton-'));
    chmodSync(scratch, 0o755);
  });
  afterEach(() => {
    root.remove();
    rmSync(scratch, { recursive: true });
  });

  /** The open fails with these words each time, and leaves nothing but stage and holder, which end with the provider. */
  async function failsCleanly(says: RegExp, changes: Partial<TestbedOptions>): Promise<void> {
    // What is mounted shows in the marks: they are read from the mounts of every process, also this one.
    const outside = namespaceOf(process.pid, 'pid');
    const before = new Set(processTree(process.pid).map(({ pid }) => pid));
    const started = () => processTree(process.pid).filter(({ pid }) => !before.has(pid));
    const provider = testProvider({ root: { rootfs: root.folder }, ...changes });
    try {
      for (let round = 0; round < 2; round += 1) {
        await assert.rejects(provider.open(), (error) => {
          assert.ok(error instanceof TestbedError, String(error));
          assert.match(error.message, says);
          return true;
        });
        const entered = started().filter(({ pid }) => namespaceOf(pid, 'pid_for_children') !== outside);
        assert.deepEqual(entered, []);
        const pids = root.left().map((line) => Number.parseInt(line, 10));
        assert.ok(new Set(pids.map((pid) => namespaceOf(pid, 'mnt'))).size <= 2, root.left().join('\n'));
        assert.deepEqual(readdirSync(scratch), []);
      }
    } finally {
      await provider.dispose();
    }
    assert.deepEqual([started(), root.left()], [[], []]);
  }

  for (const where of ['in memory', 'on disk'] as const) {
    itWithUsers(`reports that its root may not read etc/passwd, with the upper layer ${where}`, async () => {
      // The tests' user is no user of the testbed.
      writeFileSync(join(root.folder, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n', { mode: 0 });
      await failsCleanly(/^root of the testbed may not read \S+\/etc\/passwd, /, {
        scratch: where === 'on disk' ? { kind: 'directory', path: scratch } : { kind: 'auto' },
      });
    });
  }

  it('reports that a place for a bind is a link to itself', async () => {
    symlinkSync('loop', join(root.folder, 'loop'));
    await failsCleanly(
      /^making a testbed failed: making the mount point \/loop\/here failed: Too many levels of symbolic links/,
      {
        binds: [{ outside: '/usr', inside: '/loop/here' }],
      },
    );
  });

  it('names the shell where this machine cannot execute it', async () => {
    rmSync(join(root.folder, 'bin/sh'));
    writeFileSync(join(root.folder, 'bin/sh'), 'of another architecture', { mode: 0o755 });
    const provider = testProvider({ root: { rootfs: root.folder } });
    try {
      await assert.rejects(
        provider.open(),
        (error) =>
          error instanceof TestbedError &&
          error.code === 'NO_SHELL' &&
          /\/bin\/sh that this machine can execute/.test(error.remedy ?? ''),
      );
    } finally {
      await provider.dispose();
    }
  });
});

describeWithUsers('the account of the normal user', function () {
  this.timeout(60_000);
  const bed = useTestbed();
  const accounts =
    "su user -c 'id -un' && stat -c '%a %U:%G' /etc/shadow && grep -h ^user: /etc/passwd /etc/group /etc/*shadow";

  it('has its lines in all four files, whose modes and owners stay', async () => {
    const { stdout, stderr } = await script(bed.testbed, accounts);
    const lines = ['user', '640 root:shadow', 'user:x:1000:1000::/home/user:/bin/bash', 'user:x:1000:'];
    assert.deepEqual(
      [stdout, stderr],
      [[...lines, 'user:!::', 'user:*:19000:0:99999:7:::', ''].join('\n'), ''],
    );
  });

  it('is accepted by su, and by passwd(1) later, where there is no shadow file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-skeleton-'));
    const env = { XDG_CACHE_HOME: folder };
    const tarball = join(folder, 'without.tar');
    try {
      // As mmdebstrap's variant `apt` makes trixie without the package passwd.
      await copyArchive(testTarball(), tarball, ({ name }) => !/^\.\/etc\/g?shadow$/.test(name));
      const text = `ls /etc/*shadow 2>/dev/null
su user -c 'id -un' && grep -h ^user: /etc/passwd /etc/group && pwconv && grpconv && ${accounts}`;
      const { stdout, stderr } = await virt(['run', '--tarball', tarball, '--', 'sh', '-c', text], { env });
      const before = ['user', 'user:*:1000:1000::/home/user:/bin/bash', 'user:*:1000:'];
      assert.deepEqual([stdout.split('\n').slice(0, 3), stderr], [before, '']);
      assert.match(
        stdout.split('\n').slice(3).join(' '),
        /^user .* user:x:1000:1000:.* user:x:1000: .*user:\*:/,
      );
    } finally {
      await virt(['rootfs', 'prune', '--max-age', '0'], { env });
      rmSync(folder, { recursive: true });
    }
  });
});

describeWithUsers('the services of packages', function () {
  this.timeout(60_000);

  it('start by invoke-rc.d in a network of its own, unless /usr/sbin of the image is a link', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-skeleton-'));
    try {
      const image = join(folder, 'image');
      const root = { tarball: testTarball() };
      const plain = testProvider({ root, network: 'none' });
      const service = [
        'mkdir -p /etc/init.d',
        'printf \'#!/bin/sh\\necho "$1" >>/run/mock\\n\' >/etc/init.d/mock && chmod 755 /etc/init.d/mock',
        'update-rc.d mock defaults >/dev/null 2>&1; invoke-rc.d mock start 2>/dev/null; cat /run/mock',
        "stat -c '%a %U:%G' /run/utmp /usr/sbin",
      ].join('; ');
      try {
        const { stdout } = await script(await plain.open(), service);
        assert.deepEqual(stdout.split('\n'), ['start', '664 root:utmp', '755 root:root', '']);
        assert.equal(await plain.startsServices(), true);
      } finally {
        await plain.dispose();
      }
      for (const path of ['bin', 'usr/bin', 'opt/sbin']) mkdirSync(join(image, path), { recursive: true });
      cpSync(findProgram('busybox') ?? '', join(image, 'bin/busybox'));
      symlinkSync('busybox', join(image, 'bin/sh'));
      symlinkSync('../opt/sbin', join(image, 'usr/sbin'));
      writeFileSync(join(image, 'opt/sbin/invoke-rc.d'), '#!/bin/sh\n', { mode: 0o755 });
      chmodSync(folder, 0o755);
      const linked = testProvider({ root: { rootfs: image }, network: 'none' });
      try {
        await linked.open();
        assert.equal(await linked.startsServices(), false);
      } finally {
        await linked.dispose();
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("stay as the image has them on the host's network", async () => {
    const provider = testProvider();
    try {
      const { stdout } = await script(
        await provider.open(),
        'ls /usr/sbin/policy-rc.d 2>/dev/null; echo end',
      );
      assert.equal(stdout, 'end\n');
    } finally {
      await provider.dispose();
    }
  });
});
