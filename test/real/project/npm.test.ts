/** Installs the published packages with npm into an empty place, and uses all of what they have. */
import assert from 'node:assert/strict';
import {
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { autopkgtest, removeScratch, scratchDir } from '../../support/autopkgtest.ts';
import { mockPackagesDir } from '../../support/mock-packages.ts';
import { makePackages, Registry } from '../../support/npm.ts';
import { call, type Ended } from '../../support/program.ts';
import { projectDir, testTarball } from '../../support/rootfs.ts';
import { itWithUsers } from '../../support/skip.ts';

const LIBRARY_TEST = `
const testbed = await Testbed.open({ rootfs: process.argv[2] });
try {
  const { stdout } = await testbed.run(['head', '-n', '1', '/etc/os-release']);
  console.log(stdout);
} finally {
  await testbed.close();
}
`;

describe('npm install', function () {
  this.timeout('3m');
  let folder: string;
  let prefix: string;
  let registry: Registry;

  /** Without the checkout's configuration of npm, and with another cache. */
  const npm = (cwd: string, ...args: readonly string[]) =>
    call(['npm', ...args, '--registry', registry.url, '--cache', join(folder, 'npm-cache')], { cwd });
  const installed = (args: readonly string[], env?: Record<string, string>): Promise<Ended> =>
    call([join(prefix, 'bin/virt-ts-unshare'), ...args], env === undefined ? {} : { env });

  before(async () => {
    folder = scratchDir();
    prefix = join(folder, 'prefix');
    registry = await Registry.start(makePackages(join(folder, 'packages'), '--arch', process.arch));
    const { status, stderr } = await npm(
      folder,
      'install',
      '--global',
      '--prefix',
      prefix,
      'virt-ts-unshare',
    );
    assert.equal(status, 0, stderr);
  });
  after(() => {
    registry?.close();
    removeScratch();
  });

  it('brings the program and the helper of this architecture, and no other package', () => {
    const modules = join(prefix, 'lib/node_modules');
    const packages = readdirSync(modules, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('package.json') && !/\/(bin|types)\/package.json$/.test(name))
      .map((name) => dirname(name).split('node_modules/').at(-1));
    assert.deepEqual(packages.sort(), [`@virt-ts-unshare/linux-${process.arch}`, 'virt-ts-unshare']);
  });

  it('brings a command that runs programs in a testbed', async () => {
    const run = await installed(['run', '--tarball', testTarball(), '--', 'id', '-u']);
    assert.deepEqual([run.status, run.stdout], [0, '0\n'], run.stderr);
  });

  it('brings manual pages, where man(1) looks for those of programs on PATH', async () => {
    const PATH = `${join(prefix, 'bin')}:/usr/bin:/bin`;
    for (const page of ['virt-ts-unshare', 'autopkgtest-virt-ts-unshare', 'virt-ts-unshare-run']) {
      // It prints what the link leads to.
      const { stdout } = await call(['man', '--where', page], { env: { PATH, MANPATH: '' } });
      assert.equal(stdout.trim(), realpathSync(join(prefix, `share/man/man1/${page}.1`)));
    }
  });

  it('brings a doctor that finds the helper', async () => {
    const { stdout, stderr } = await installed(['doctor']);
    assert.match(stdout, new RegExp(`@virt-ts-unshare/linux-${process.arch}/helper`), stdout + stderr);
    assert.ok(!stdout.includes('compile'), stdout);
  });

  it('brings laboratories', async () => {
    const file = join(folder, 'lab.yaml');
    const text = [
      `root: { tarball: ${testTarball('lab')} }`,
      'networks: { lan: 10.1.0.0/24 }',
      'hosts: { one: { address: 10.1.0.2 }, two: { address: 10.1.0.3 } }',
    ];
    writeFileSync(file, text.join('\n'));
    const up = await installed(['lab', 'up', file]);
    try {
      assert.equal(up.status, 0, up.stderr);
      const ping = await installed(['lab', 'exec', file, 'one', 'ping', '-c', '1', 'two']);
      assert.match(ping.stdout, / 0% packet loss/, ping.stderr);
    } finally {
      const down = await installed(['lab', 'down', file]);
      assert.equal(down.status, 0, down.stderr);
    }
  });

  itWithUsers('brings the server for autopkgtest', async () => {
    const args = [join(mockPackagesDir, 'hello')];
    const PATH = `${join(prefix, 'bin')}:${dirname(process.execPath)}:/usr/sbin:/usr/bin:/sbin:/bin`;
    const run = await autopkgtest({ args, env: { PATH } });
    assert.equal(run.status, 0, run.log);
  });

  it('in a project brings the library, for ES modules, CommonJS and TypeScript', async () => {
    const project = join(folder, 'project');
    mkdirSync(project);
    writeFileSync(join(project, 'package.json'), '{ "private": true }');
    const { status, stderr } = await npm(project, 'install', '--save-dev', 'virt-ts-unshare');
    assert.equal(status, 0, stderr);
    const files = {
      'module.mjs': `import { Testbed } from 'virt-ts-unshare';${LIBRARY_TEST}`,
      'common.cjs': `const { Testbed } = require('virt-ts-unshare');(async () => {${LIBRARY_TEST}})();`,
      'typed.mts': `import { Testbed, type RunResult } from 'virt-ts-unshare';${LIBRARY_TEST}export type { RunResult };`,
      'both.mjs': `import { createRequire } from 'node:module';
        import { UsageError, Testbed } from 'virt-ts-unshare';
        const common = createRequire(import.meta.url)('virt-ts-unshare');
        console.log(common.UsageError === UsageError && common.Testbed === Testbed);`,
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(project, name), text);
    const tsx = `--import=file://${projectDir}node_modules/tsx/dist/loader.mjs`;
    for (const argv of [['module.mjs'], ['common.cjs'], [tsx, 'typed.mts']]) {
      const run = await call([process.execPath, ...argv, testTarball()], { cwd: project });
      assert.match(run.stdout, /^PRETTY_NAME=/, `${argv}: ${run.stderr}`);
    }
    const both = await call([process.execPath, 'both.mjs'], { cwd: project });
    assert.equal(both.stdout, 'true\n', both.stderr);
  });

  it('without optional packages says in one sentence how to compile the helper, which then works', async () => {
    const found = join(prefix, 'lib/node_modules/virt-ts-unshare/node_modules/@virt-ts-unshare');
    const hidden = join(folder, 'hidden');
    renameSync(found, hidden);
    try {
      const run = ['run', '--tarball', testTarball(), '--', 'true'];
      const without = await installed(run);
      assert.equal(without.status, 255);
      assert.equal(without.stderr.trimEnd().split('\n').length, 1, without.stderr);
      const command = /compile it, with gcc and libc6-dev installed: (.*)$/m.exec(without.stderr)?.[1];
      assert.ok(command !== undefined, without.stderr);
      const compiled = await call(['sh', '-c', command]);
      assert.deepEqual([compiled.status, compiled.stderr], [0, '']);
      const run2 = await installed(run);
      assert.equal(run2.status, 0, run2.stderr);
    } finally {
      rmSync(join(prefix, `lib/node_modules/virt-ts-unshare/dist/helper-${process.arch}`), { force: true });
      renameSync(hidden, found);
    }
  });

  it('works through a link to the program in a directory of its own', async () => {
    const link = join(folder, 'autopkgtest-virt-ts-unshare');
    symlinkSync(join(prefix, 'bin/autopkgtest-virt-ts-unshare'), link);
    const { stdout, status } = await call([link, '--tarball', testTarball()], { input: 'quit\n' });
    assert.deepEqual([status, stdout], [0, 'ok\nok\n']);
  });
});
