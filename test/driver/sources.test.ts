/** The kinds of source that the real autopkgtest takes. */
import assert from 'node:assert/strict';
import { autopkgtest, removeScratch } from '../support/autopkgtest.ts';
import { describeWithUsers } from '../support/skip.ts';
import { buildOnHost, fileIn } from '../support/source-package.ts';

describeWithUsers('autopkgtest on', function () {
  this.timeout('3m');
  after(removeScratch);

  it('a .dsc: built in the testbed, then tested as installed', async () => {
    const { folder } = buildOnHost('hello', 'source');
    const run = await autopkgtest({ args: [fileIn(folder, '.dsc')] });
    assert.deepEqual([run.status, run.summary], [0, { smoke: 'PASS' }], run.log);
    assert.match(run.log, /dpkg-buildpackage: info: binary-only upload/);
  });

  it('a .changes with binaries: these are installed, nothing is built', async () => {
    const { folder } = buildOnHost('hello', 'full');
    const run = await autopkgtest({ args: [fileIn(folder, '.changes')] });
    assert.deepEqual([run.status, run.summary], [0, { smoke: 'PASS' }], run.log);
    assert.doesNotMatch(run.log, /dpkg-buildpackage/);
  });

  it('a built tree and its package', async () => {
    const { folder, tree } = buildOnHost('hello', 'full');
    const run = await autopkgtest({ args: [fileIn(folder, '.deb'), tree] });
    assert.deepEqual([run.status, run.summary], [0, { smoke: 'PASS' }], run.log);
    assert.doesNotMatch(run.log, /dpkg-buildpackage/);
  });

  it('a .dsc whose test wants the built tree', async () => {
    const { folder } = buildOnHost('build-needed', 'source');
    const run = await autopkgtest({ args: ['--no-built-binaries', fileIn(folder, '.dsc')] });
    assert.deepEqual([run.status, run.summary], [0, { built: 'PASS' }], run.log);
  });
});
