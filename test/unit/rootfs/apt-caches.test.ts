import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../../src/log.ts';
import { ownIdentity } from '../../../src/processes/identity.ts';
import { findAptCaches, keyOfAptCaches, writtenCaches } from '../../../src/rootfs/apt-caches.ts';
import { openCache } from '../../../src/rootfs/cache.ts';
import { keepAptCaches } from '../../../src/rootfs/keep-apt-caches.ts';
import { fakeHolder } from '../../support/fake-holder.ts';

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

  it('are kept once more after a boot in which they may have been lost', async () => {
    fill(tree);
    const cache = openCache({ XDG_CACHE_HOME: join(tree, 'cache') });
    const { key } = fakeHolder.idMap;
    const keep = () =>
      keepAptCaches('base', { holder: fakeHolder, cache, log: silentLog }, async () => ({
        tree,
        seen: tree,
      }));
    await keep();
    await findAptCaches('base', key, cache)?.release();
    const record = join(cache.bases, keyOfAptCaches('base', key), 'base.json');
    writeFileSync(record, readFileSync(record, 'utf8').replace(ownIdentity().boot, '00000000'));
    assert.equal(findAptCaches('base', key, cache), undefined);
    await keep();
    assert.equal(findAptCaches('base', key, cache)?.files, 1);
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
