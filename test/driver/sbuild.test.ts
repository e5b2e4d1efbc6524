/** The other driver of virtualisation servers: the real sbuild builds a package in a testbed of this server. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { cacheHome } from '../../src/rootfs/cache.ts';
import { removeScratch, scratchDir } from '../support/autopkgtest.ts';
import { call, PROGRAM } from '../support/program.ts';
import { testTarball } from '../support/rootfs.ts';
import { describeWithUsers } from '../support/skip.ts';
import { buildOnHost, fileIn } from '../support/source-package.ts';

describeWithUsers('sbuild', function () {
  this.timeout('5m');
  after(removeScratch);

  it('builds a package in a testbed', async () => {
    const { folder } = buildOnHost('hello', 'source');
    const home = scratchDir();
    const results = `${home}/results`;
    mkdirSync(results);
    const { status, stdout, stderr } = await call(
      [
        'sbuild',
        ...['--chroot-mode=autopkgtest', `--autopkgtest-virt-server=${PROGRAM}`],
        ...[`--autopkgtest-virt-server-opts=--tarball ${testTarball('build')}`],
        ...['--dist=unstable', '--arch-all', '--no-run-lintian', '--verbose', fileIn(folder, '.dsc')],
      ],
      // Without the settings of the tests' user, but with the base that exists.
      { cwd: results, env: { HOME: home, XDG_CACHE_HOME: cacheHome(process.env) } },
    );
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /^Status: successful$/m);
    const content = execFileSync('dpkg-deb', ['--contents', fileIn(results, '.deb')], { encoding: 'utf8' });
    assert.match(content, / \.\/usr\/bin\/mock-hello$/m);
  });
});
