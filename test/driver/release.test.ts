/** The root filesystem that is built for `--release`, of another release than the host's, under the real autopkgtest. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { autopkgtest, removeScratch, scratchDir } from '../support/autopkgtest.ts';
import { call, virt } from '../support/program.ts';
import { projectDir } from '../support/rootfs.ts';
import { describeWithUsers } from '../support/skip.ts';
import { buildOnHost, fileIn } from '../support/source-package.ts';

describeWithUsers('--release trixie', function () {
  this.timeout('5m');
  let env: Record<string, string>;
  before(() => {
    env = { XDG_CACHE_HOME: scratchDir() };
  });
  after(async () => {
    await virt(['rootfs', 'prune', '--max-age', '0'], { env });
    removeScratch();
  });

  it('builds an image in which a package is tested as the ordinary user', async () => {
    const { folder, tree } = buildOnHost('hello', 'full');
    // A test that does not run as root came there by su.
    writeFileSync(`${tree}/debian/tests/control`, 'Test-Command: id -un | grep -x user\n');
    const args = [fileIn(folder, '.deb'), tree];
    const run = await autopkgtest({ args, serverArgs: ['--release', 'trixie'], env });
    assert.deepEqual([run.status, run.summary], [0, { command1: 'PASS' }], run.log);
    assert.match(
      run.log,
      /^virt-ts-unshare: building the root filesystem trixie-\w+ with mmdebstrap; it is kept$/m,
    );
  });

  it('has what autopkgtest and sbuild call to make accounts and to use them', async () => {
    const text =
      '. /etc/os-release; groupadd builders && useradd -m -g builders tester && su tester -c "id -gn"; su user -c "id -un"; echo "$VERSION_CODENAME"';
    const { stdout } = await virt(['run', '--release', 'trixie', '--', 'sh', '-c', text], { env });
    assert.equal(stdout, 'builders\nuser\ntrixie\n');
  });

  it('has the Debian package of this program installed, and passes its tests', async () => {
    const { stdout, stderr, status } = await call(['scripts/deb', '--no-build'], { cwd: projectDir });
    assert.equal(status, 0, stderr);
    const folder = dirname(stdout.trim());
    const args = [stdout.trim(), fileIn(folder, '.dsc')];
    const run = await autopkgtest({ args, serverArgs: ['--release', 'trixie'], env, timeout: 280_000 });
    assert.deepEqual([run.status, run.summary], [0, { commands: 'PASS', library: 'PASS' }], run.log);
  });
});
