/** What is published: its content, its types for each kind of import, and the same bytes from each build. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makePackages } from '../../support/npm.ts';
import { projectDir } from '../../support/rootfs.ts';
import { lack } from '../../support/skip.ts';

const COMPILERS = { x64: 'x86_64-linux-gnu-gcc', arm64: 'aarch64-linux-gnu-gcc' } as const;
/** e_machine of an ELF file. */
const MACHINES = { x64: 62, arm64: 183 } as const;

const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

function node(...argv: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { cwd: projectDir, encoding: 'utf8' });
  return status === 0 ? '' : stdout + stderr;
}

describe('the published packages', function () {
  this.timeout(120_000);
  let folder: string;
  let tarballs: string[];

  before(function () {
    for (const compiler of Object.values(COMPILERS)) {
      if (spawnSync(compiler, ['--version']).error !== undefined) lack(this, `there is no ${compiler}`);
    }
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-npm-'));
    tarballs = makePackages(folder);
  });
  after(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  it('are one for all machines and one for each architecture, of the same version', () => {
    const { version, optionalDependencies } = json(join(folder, 'virt-ts-unshare/package.json'));
    const platforms = ['linux-arm64', 'linux-x64'].map((name) => json(join(folder, name, 'package.json')));
    assert.deepEqual(
      platforms.map((each) => [each.name, each.version, each.cpu, each.os]),
      [
        ['@virt-ts-unshare/linux-arm64', version, ['arm64'], ['linux']],
        ['@virt-ts-unshare/linux-x64', version, ['x64'], ['linux']],
      ],
    );
    const wanted = Object.fromEntries(platforms.map(({ name }) => [name, version]));
    assert.deepEqual(optionalDependencies, wanted);
  });

  it('run no script at installation, and need no other package', () => {
    const { scripts, dependencies } = json(join(folder, 'virt-ts-unshare/package.json'));
    assert.deepEqual([scripts, dependencies], [undefined, undefined]);
    const bundled = readdirSync(join(projectDir, 'dist'), { recursive: true, encoding: 'utf8' });
    const code = bundled.filter((name) => /\.c?js$/.test(name));
    const wanted = code.flatMap((name) => {
      const text = readFileSync(join(projectDir, 'dist', name), 'utf8');
      return [...text.matchAll(/\brequire\(["'`]([@a-z][^"'`]*)["'`]\)/g)].map(([, module = '']) => module);
    });
    const { builtinModules } = process.getBuiltinModule('module');
    assert.deepEqual(
      wanted.filter((module) => !builtinModules.includes(module.replace(/^node:/, ''))),
      [],
    );
    assert.ok(wanted.length > 10, `${wanted.length}`);
  });

  it('have a static program for their architecture, whose hash the main package records', () => {
    const recorded = json(join(folder, 'virt-ts-unshare/dist/helpers.json'));
    for (const [arch, machine] of Object.entries(MACHINES)) {
      const path = join(folder, `linux-${arch}/helper`);
      const content = readFileSync(path);
      assert.equal(content.readUInt16LE(18), machine, arch);
      assert.ok(!content.includes('/lib/ld-linux'), `${arch}: it has an interpreter`);
      assert.equal(recorded[arch].sha256, sha256(path));
    }
    assert.ok(!existsSync(join(folder, `virt-ts-unshare/dist/helper-${process.arch}`)));
  });

  it('have the same program again when it is compiled in another directory', () => {
    const other = join(folder, 'another/directory');
    mkdirSync(other, { recursive: true });
    cpSync(join(projectDir, 'helper'), join(other, 'helper'), { recursive: true });
    for (const [arch, CC] of Object.entries(COMPILERS)) {
      const { status, stderr } = spawnSync(join(other, 'helper/compile'), [join(other, arch)], {
        env: { ...process.env, CC },
        cwd: '/',
        encoding: 'utf8',
      });
      assert.equal(status, 0, stderr);
      assert.equal(sha256(join(other, arch)), sha256(join(folder, `linux-${arch}/helper`)), arch);
    }
  });

  it('satisfy publint', () => {
    for (const tarball of tarballs)
      assert.equal(node('node_modules/publint/src/cli.js', '--strict', tarball), '');
  });

  it('have types that are right for CommonJS, ES modules and bundlers (arethetypeswrong)', () => {
    const tarball = tarballs.find((path) => /unshare-\d/.test(path));
    assert.ok(tarball !== undefined);
    assert.equal(node('node_modules/@arethetypeswrong/cli/dist/index.js', '--no-color', tarball), '');
  });
});
