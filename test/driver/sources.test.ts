/** The kinds of source that the real autopkgtest takes. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, readdirSync } from 'node:fs';
import { autopkgtest, removeScratch, scratchDir } from '../support/autopkgtest.ts';
import { mockPackagesDir } from '../support/mock-packages.ts';
import { describeWithUsers } from '../support/skip.ts';

/** Copies a mock package and builds it on the host. Gives the folder of the results, and the tree in it. */
function buildOnHost(name: string, kind: 'source' | 'full'): { folder: string; tree: string } {
  const folder = scratchDir();
  const tree = `${folder}/tree`;
  cpSync(`${mockPackagesDir}/${name}`, tree, { recursive: true });
  const options = ['--no-sign', '--no-check-builddeps', ...(kind === 'source' ? ['--build=source'] : [])];
  execFileSync('dpkg-buildpackage', options, { cwd: tree, stdio: ['ignore', 'ignore', 'pipe'] });
  return { folder, tree };
}

function fileIn(folder: string, ending: string): string {
  const name = readdirSync(folder).find((file) => file.endsWith(ending));
  assert.ok(name !== undefined, `no *${ending} among ${readdirSync(folder).join(' ')}`);
  return `${folder}/${name}`;
}

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
