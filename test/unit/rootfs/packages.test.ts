import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { choosePackages, downloaded, type PackageFile } from '../../../src/rootfs/packages.ts';

describe('packages that apt downloaded', () => {
  let tree: string;
  let archives: string;
  beforeEach(() => {
    tree = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-packages-'));
    archives = join(tree, 'var/cache/apt/archives');
  });
  afterEach(() => rmSync(tree, { recursive: true }));

  it('are found by their names, and nothing else is', () => {
    mkdirSync(join(archives, 'partial'), { recursive: true });
    const good = [
      'hello_2.10-3_amd64.deb',
      'g++-12_12.2.0-14+deb12u1_amd64.deb',
      'libc6_1%3a2.36~rc1_all.deb',
    ];
    const bad = ['lock', '-rf_1_all.deb', 'hello.deb', 'a b_1_all.deb', 'x_1_all.deb.exe', 'x\n_1_all.deb'];
    for (const name of [...good, ...bad]) writeFileSync(join(archives, name), 'x');
    writeFileSync(join(archives, 'empty_1_all.deb'), '');
    symlinkSync('/etc/passwd', join(archives, 'link_1_all.deb'));
    mkdirSync(join(archives, 'folder_1_all.deb'));
    const names = downloaded(tree).map(({ name }) => name);
    assert.deepEqual(names.sort(), good.sort());
  });

  for (const link of ['var', 'var/cache', 'var/cache/apt', 'var/cache/apt/archives']) {
    it(`are not looked for behind a link at ${link}`, () => {
      mkdirSync(archives, { recursive: true });
      writeFileSync(join(archives, 'hello_1_all.deb'), 'x');
      const other = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-packages-'));
      try {
        mkdirSync(join(other, link, '..'), { recursive: true });
        symlinkSync(join(tree, link), join(other, link));
        assert.deepEqual(downloaded(other), []);
      } finally {
        rmSync(other, { recursive: true });
      }
    });
  }

  it('are none where there is no apt', () => {
    assert.deepEqual(downloaded(tree), []);
  });
});

describe('the choice of packages to keep', () => {
  const file = (name: string, size = 10, time = 1): PackageFile => ({ name, size, time });
  const limits = { bytes: 100, files: 4 };

  it('adds what is new, and replaces what has another size or time', () => {
    const known = [file('a'), file('b'), file('c')];
    const found = [file('a'), file('b', 11), file('c', 10, 2), file('d')];
    assert.deepEqual(choosePackages(known, found, limits), {
      added: [file('b', 11), file('c', 10, 2), file('d')],
      kept: [file('a')],
    });
  });

  it('adds nothing when all is known', () => {
    assert.deepEqual(choosePackages([file('a')], [file('a')], limits).added, []);
  });

  it('drops what was known when there is too much', () => {
    assert.deepEqual(choosePackages([file('a', 60)], [file('b', 60)], limits), {
      added: [file('b', 60)],
      kept: [],
    });
    const four = ['a', 'b', 'c', 'd'].map((name) => file(name));
    assert.deepEqual(choosePackages(four, [file('e')], limits).kept, []);
  });

  it('never adds more than the limits', () => {
    const found = [file('a', 60), file('b', 60), file('c'), file('d'), file('e'), file('f')];
    assert.deepEqual(
      choosePackages([], found, limits).added.map(({ name }) => name),
      ['a', 'c', 'd', 'e'],
    );
  });
});
