/** --remember-packages: what apt downloaded in a testbed is there in later ones, and apt verifies it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../../src/log.ts';
import { Provider } from '../../../src/testbed/provider.ts';
import { virt } from '../../support/program.ts';
import { testTarball } from '../../support/rootfs.ts';
import { script, testOptions } from '../../support/testbed.ts';

const PACKAGE = 'hello';
/** A line of apt when it has downloaded something. */
const FETCHED = /^Fetched \d/m;
const install = `apt-get install -y ${PACKAGE} && hello`;

describe('packages that a testbed remembers', function () {
  this.timeout(180_000);
  let cache: string | undefined;
  let folder: string;
  const options = testOptions({ root: { tarball: testTarball('build') } });
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-remember-'));
    cache = process.env.XDG_CACHE_HOME;
    process.env.XDG_CACHE_HOME = folder;
  });
  after(async () => {
    await virt(['rootfs', 'prune', '--all']);
    rmSync(folder, { recursive: true });
    if (cache === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = cache;
  });

  const open = (rememberPackages: boolean) => new Provider({ ...options, rememberPackages }, silentLog);
  async function inOne(text: string, { remember = true } = {}): Promise<string> {
    const provider = open(remember);
    try {
      const testbed = await provider.open();
      const { status, stdout, stderr } = await script(testbed, `set -e; apt-get update -qq; ${text}`);
      assert.equal(status, 0, stderr);
      await testbed.close();
      return stdout;
    } finally {
      await provider.dispose();
    }
  }

  it('are downloaded by the first, and by no later one', async () => {
    assert.match(await inOne(install), FETCHED);
    const second = await inOne(install);
    assert.doesNotMatch(second, FETCHED);
    assert.match(second, /^Hello, world!$/m);
    assert.match(await inOne(install, { remember: false }), FETCHED);
  });

  it('are there after a revert', async () => {
    const provider = open(true);
    try {
      const testbed = await provider.open();
      const more = 'apt-get update -qq; apt-get install -y -d sl';
      assert.match((await script(testbed, more)).stdout, FETCHED);
      await testbed.revert();
      assert.doesNotMatch((await script(testbed, more)).stdout, FETCHED);
    } finally {
      await provider.dispose();
    }
  });

  it('are downloaded again when a testbed has changed them', async () => {
    const poison = `apt-get install -y -d ${PACKAGE}
      file=$(echo /var/cache/apt/archives/${PACKAGE}_*.deb)
      touch -r "$file" /tmp/time
      dd if=/dev/zero of="$file" bs=1k seek=4 count=1 conv=notrunc status=none
      touch -d @1000000000 "$file"`;
    await inOne(poison);
    assert.match(await inOne(install), /^Hello, world!$/m);
    assert.doesNotMatch(await inOne(install), FETCHED);
  });
});
