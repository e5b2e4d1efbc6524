import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { virt } from '../../support/program.ts';
import { describeWithUsers, skip } from '../../support/skip.ts';

describeWithUsers('a root filesystem that is closed to root of the testbed', function () {
  this.timeout(60_000);
  let folder: string;
  let root: string;
  let env: Record<string, string>;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-closed-'));
    root = join(folder, 'root');
    env = { XDG_CACHE_HOME: join(folder, 'cache') };
    for (const name of ['bin', 'etc']) mkdirSync(join(root, name), { recursive: true });
    writeFileSync(join(root, 'bin/sh'), '', { mode: 0o755 });
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
    writeFileSync(join(root, 'etc/shadow'), 'root:*:1::::::\n', { mode: 0o600 });
  });
  after(async () => {
    await virt(['rootfs', 'prune', '--max-age', '0'], { env });
    rmSync(folder, { recursive: true });
  });

  /** The sentence that run says. */
  async function sentence(path = root): Promise<string> {
    const { status, stdout, stderr } = await virt(['run', '--rootfs', path, '--', 'true'], { env });
    assert.equal(status, 255);
    assert.equal(stdout, '');
    assert.doesNotMatch(stderr.trimEnd(), /\n|sh -c/);
    return stderr;
  }

  it('is reported in one sentence with a remedy that works', async () => {
    assert.match(await sentence(), /may not read \S+\/root\/etc\/shadow, .*rootfs import \S+\/root NAME'/);
    const imported = await virt(['rootfs', 'import', root, 'closed'], { env });
    assert.deepEqual([imported.stderr, imported.status], ['', 0]);
    // An empty program is no shell, which is found out behind the accounts.
    const { stderr } = await virt(['run', '--release', 'closed', '--', 'true'], { env });
    assert.doesNotMatch(stderr, /may not read/);
  });

  it('may be closed as a whole', async () => {
    chmodSync(root, 0o700);
    assert.match(await sentence(), /may not read \S+\/root, /);
    chmodSync(root, 0o755);
  });

  it('cannot be imported by a user that may not read it', async function () {
    if (process.getuid?.() === 0) skip(this, 'root may read everything');
    chmodSync(join(root, 'etc/shadow'), 0o000);
    assert.match(
      await sentence(),
      /; make a tarball of it for --tarball=FILE by 'tar -C \S+ -cf FILE \.', as the user that owns the files$/m,
    );
    const { status, stderr } = await virt(['rootfs', 'import', root, 'other'], { env });
    assert.match(stderr, /shadow: .*Permission denied; import it as the user whose files they are$/m);
    assert.equal(status, 255);
  });

  it("is this machine's own", async () => {
    assert.match(await sentence('/'), /may not read \/etc\/\w+, .*run --host/);
  });
});
