/** Makes the Debian package of the built program. */
import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { call } from '../../support/program.ts';
import { projectDir } from '../../support/rootfs.ts';
import { fileIn } from '../../support/source-package.ts';

describe('npm run deb', function () {
  this.timeout('2m');
  let deb: string;

  before(async () => {
    const { stdout, stderr, status } = await call(['scripts/deb', '--no-build'], { cwd: projectDir });
    assert.equal(status, 0, stderr);
    deb = stdout.trim();
  });

  it('makes packages in which lintian finds no fault', async () => {
    const argv = ['--allow-root', '--fail-on=error,warning', '--tag-display-limit=0'] as const;
    const { stdout, status } = await call(['lintian', ...argv, fileIn(dirname(deb), '.changes')]);
    assert.deepEqual([stdout, status], ['', 0]);
  });

  it('makes a package with both commands, man pages, completions, and no other helper', async () => {
    const { stdout } = await call(['sh', '-c', 'dpkg-deb --fsys-tarfile "$1" | tar -t', 'sh', deb]);
    const files = new Set(stdout.split('\n'));
    const wanted = [
      'bin/virt-ts-unshare',
      'bin/autopkgtest-virt-ts-unshare',
      'libexec/virt-ts-unshare/helper',
      'share/man/man1/virt-ts-unshare.1.gz',
      'share/man/man1/autopkgtest-virt-ts-unshare.1.gz',
      'share/bash-completion/completions/virt-ts-unshare',
      'share/bash-completion/completions/autopkgtest-virt-ts-unshare',
      'share/zsh/vendor-completions/_virt-ts-unshare',
      'share/fish/vendor_completions.d/virt-ts-unshare.fish',
      `share/nodejs/virt-ts-unshare/dist/helper-${process.arch}`,
    ];
    assert.deepEqual(
      wanted.filter((name) => !files.has(`./usr/${name}`)),
      [],
    );
  });
});
