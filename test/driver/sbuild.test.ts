/** The other driver of virtualisation servers: the real sbuild builds and tests a package in testbeds of this server. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { cacheHome } from '../../src/rootfs/cache.ts';
import { removeScratch, scratchDir } from '../support/autopkgtest.ts';
import { call, PROGRAM } from '../support/program.ts';
import { projectDir, testTarball } from '../support/rootfs.ts';
import { describeWithUsers } from '../support/skip.ts';
import { buildOnHost, fileIn } from '../support/source-package.ts';

describeWithUsers('sbuild', function () {
  this.timeout('5m');
  after(removeScratch);

  it('builds and tests a package in testbeds, with the settings of docs/examples', async () => {
    const { folder } = buildOnHost('hello', 'source');
    const home = scratchDir();
    const results = `${home}/results`;
    mkdirSync(results);
    const settings = readFileSync(`${projectDir}docs/examples/sbuildrc`, 'utf8');
    assert.match(settings, /'\/usr\/bin\/virt-ts-unshare'/);
    // The environment of autopkgtest has only what sbuild lets through.
    const more = "$environment_filter = ['^HOME$', '^PATH$', '^XDG_CACHE_HOME$'];\n";
    writeFileSync(`${home}/.sbuildrc`, more + settings.replace('/usr/bin/virt-ts-unshare', PROGRAM));
    // Where both programs look for the root filesystem of a release.
    const tarball = testTarball('build');
    const [, arch = ''] = /-(\w+)-build\.tar\.zst$/.exec(tarball) ?? [];
    mkdirSync(`${home}/.cache/sbuild`, { recursive: true });
    symlinkSync(tarball, `${home}/.cache/sbuild/unstable-${arch}.tar.zst`);
    // With the base that exists.
    symlinkSync(`${cacheHome(process.env)}/virt-ts-unshare`, `${home}/.cache/virt-ts-unshare`);
    const { status, stdout, stderr } = await call(
      ['sbuild', '--dist=unstable', '--arch-all', '--no-run-lintian', '--verbose', fileIn(folder, '.dsc')],
      {
        cwd: results,
        env: { HOME: home, XDG_CACHE_HOME: `${home}/.cache` },
      },
    );
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /^Status: successful$/m);
    assert.match(stdout, /^smoke +PASS$/m);
    assert.match(stdout, /^Autopkgtest: pass$/m);
    const content = execFileSync('dpkg-deb', ['--contents', fileIn(results, '.deb')], { encoding: 'utf8' });
    assert.match(content, / \.\/usr\/bin\/mock-hello$/m);
  });
});
