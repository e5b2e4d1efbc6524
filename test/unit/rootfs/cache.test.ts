import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { UsageError } from '../../../src/errors.ts';
import { type CacheFolder, cacheHome, cachePath, openCache } from '../../../src/rootfs/cache.ts';
import { BaseCache } from '../../support/bases.ts';

describe('the cache', () => {
  let folder: string;
  let cache: CacheFolder;
  let made: BaseCache;

  beforeEach(() => {
    made = new BaseCache();
    ({ folder, cache } = made);
  });
  afterEach(() => made.remove());

  it('lies in a private, tagged folder', () => {
    assert.equal(statSync(cache.path).mode & 0o777, 0o700);
    assert.match(
      readFileSync(join(cache.path, 'CACHEDIR.TAG'), 'latin1'),
      /^Signature: 8a477f597d28d172789f06886806bc55\n/,
    );
    chmodSync(cache.path, 0o755);
    openCache({ XDG_CACHE_HOME: folder });
    assert.equal(statSync(cache.path).mode & 0o777, 0o700);
  });

  it('lies in the home that the system knows where HOME is no path', () => {
    for (const HOME of [undefined, '', 'relative']) {
      assert.equal(cacheHome({ HOME }), join(userInfo().homedir, '.cache'));
    }
    assert.equal(cacheHome({ HOME: '/x', XDG_CACHE_HOME: 'relative' }), '/x/.cache');
  });

  it('lies in the home of the account when HOME is another directory', () => {
    const [home, own] = [join(folder, 'home'), join(folder, 'own')];
    for (const path of [home, own]) mkdirSync(path);
    const inOwn = join(own, '.cache', 'virt-ts-unshare');
    assert.equal(cachePath({ HOME: home }, own), inOwn);
    assert.equal(cachePath({ HOME: home, XDG_CACHE_HOME: join(home, 'cache') }, own), inOwn);
    assert.equal(cachePath({ HOME: own }, own), inOwn);
    // A place that is not in HOME was chosen by the user.
    assert.equal(cachePath({ HOME: home, XDG_CACHE_HOME: folder }, own), join(folder, 'virt-ts-unshare'));
    symlinkSync(own, join(folder, 'link'));
    assert.equal(cachePath({ HOME: join(folder, 'link') }, own), join(folder, 'link/.cache/virt-ts-unshare'));
    const inHome = join(home, '.cache', 'virt-ts-unshare');
    writeFileSync(join(folder, 'file'), '');
    assert.equal(cachePath({ HOME: home }, join(folder, 'file')), inHome);
    const loop = join(folder, 'loop');
    symlinkSync('loop', loop);
    assert.equal(cachePath({ HOME: loop }, own), inOwn);
  });

  it('is refused where it cannot be', () => {
    writeFileSync(join(folder, 'file'), '');
    assert.throws(() => openCache({ XDG_CACHE_HOME: join(folder, 'file') }), UsageError);
  });
});
