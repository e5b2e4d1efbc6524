import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writtenCaches } from '../../../src/rootfs/apt-caches.ts';

describe('caches of apt in an upper layer', () => {
  let tree: string;
  beforeEach(() => {
    tree = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-caches-'));
  });
  afterEach(() => rmSync(tree, { recursive: true }));

  const fill = (root: string) => {
    mkdirSync(join(root, 'var/cache/apt/archives'), { recursive: true });
    writeFileSync(join(root, 'var/cache/apt/srcpkgcache.bin'), 'four');
    writeFileSync(join(root, 'var/cache/apt/pkgcache.bin'), '');
  };

  it('are the files that are not empty', () => {
    fill(tree);
    assert.deepEqual(writtenCaches(tree), { paths: ['var/cache/apt/srcpkgcache.bin'], size: 4 });
    assert.deepEqual(writtenCaches(join(tree, 'nothing')), { paths: [], size: 0 });
  });

  for (const link of ['var', 'var/cache', 'var/cache/apt', 'var/cache/apt/srcpkgcache.bin']) {
    it(`are not looked for behind a link at ${link}`, () => {
      const [own, other] = [join(tree, 'own'), join(tree, 'other')];
      fill(other);
      mkdirSync(join(own, link, '..'), { recursive: true });
      symlinkSync(join(other, link), join(own, link));
      assert.deepEqual(writtenCaches(own).paths, []);
    });
  }
});
