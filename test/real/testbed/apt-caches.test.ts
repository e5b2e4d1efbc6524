/** What apt computes of package lists is there in later testbeds of the same root filesystem. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLog } from '../../../src/log.ts';
import { openCache } from '../../../src/rootfs/cache.ts';
import { readAptCaches } from '../../../src/rootfs/record.ts';
import { Provider } from '../../../src/testbed/provider.ts';
import type { OpenTestbed, TestbedOptions } from '../../../src/testbed/types.ts';
import { virt } from '../../support/program.ts';
import { testTarball } from '../../support/rootfs.ts';
import { script, testOptions } from '../../support/testbed.ts';

const IMAGE = `apt-caches-${process.pid}`;
/** In the place of apt: it takes what is there, and its output depends on what ran before in the same testbed. */
const APT = `cat >/usr/local/bin/apt-cache <<'END'
#!/bin/sh
[ "$*" = gencaches ] || exit 1
for name in pkgcache srcpkgcache; do
    file=/var/cache/apt/$name.bin
    [ -e "$file" ] || { echo "$name"; cat /srv/changed; } >"$file" 2>/dev/null
done
exit 0
END
chmod 755 /usr/local/bin/apt-cache; chmod 2751 /var/cache/apt`;
const SEEN = 'stat -c "%a %u %g" /var/cache/apt; cat /var/cache/apt/*.bin';
const KEPT = '2751 0 0\npkgcache\nsrcpkgcache\n';

describe('caches of apt', function () {
  this.timeout(60_000);
  const providers: Provider[] = [];
  const provide = (changes: Partial<TestbedOptions> = {}) => {
    const provider = new Provider(testOptions({ root: { rootfs: IMAGE }, ...changes }), silentLog);
    providers.push(provider);
    return provider;
  };
  const seen = async (testbed: OpenTestbed) => (await script(testbed, SEEN)).stdout;
  /** Only of the image of this test: others run at the same time. */
  const trees = () => {
    const cache = openCache(process.env);
    const size = 'pkgcache\nsrcpkgcache\n'.length;
    const found = readAptCaches(cache).filter(({ record }) => record.files === 2 && record.size === size);
    return found.map(({ key }) => join(cache.bases, key));
  };

  before(async () => {
    const { status, stderr } = await virt([
      'run',
      '--tarball',
      testTarball(),
      '--commit',
      IMAGE,
      '--',
      'sh',
      '-c',
      APT,
    ]);
    assert.equal(status, 0, stderr);
  });
  afterEach(async () => {
    for (const provider of providers.splice(0)) await provider.dispose();
  });
  after(async () => {
    await virt(['rootfs', 'remove', IMAGE]);
  });

  it('are computed again apart from the tests, kept until the image is removed, and lent to each later testbed', async () => {
    const provider = provide();
    const testbed = await provider.open();
    assert.equal(await seen(testbed), '2751 0 0\n');
    await script(testbed, 'echo changed >/srv/changed; apt-cache gencaches');
    assert.equal(await seen(testbed), '2751 0 0\npkgcache\nchanged\nsrcpkgcache\nchanged\n');
    do {
      await testbed.revert();
      await delay(50);
    } while ((await seen(testbed)) === '2751 0 0\n');
    assert.equal(await seen(testbed), KEPT);
    await testbed.revert();
    assert.equal(await seen(testbed), KEPT);
    const [tree = '', ...others] = trees();
    assert.deepEqual(others, []);

    const other = provide();
    const another = await other.open();
    assert.equal(await seen(another), KEPT);
    // They are below the layer of a testbed, which may delete and change them.
    await script(another, 'rm /var/cache/apt/pkgcache.bin; echo more >>/var/cache/apt/srcpkgcache.bin');
    assert.deepEqual(await another.leaks(), []);
    const snapshot = await another.snapshot();
    assert.equal(await seen(await other.open(snapshot)), '2751 0 0\nsrcpkgcache\nmore\n');
    assert.equal(await seen(await provide({ mode: 'copy' }).open()), '2751 0 0\n');

    for (const each of providers.splice(0)) await each.dispose();
    assert.ok(existsSync(tree));
    assert.equal((await virt(['rootfs', 'remove', IMAGE])).status, 0);
    assert.ok(!existsSync(tree));
  });
});
