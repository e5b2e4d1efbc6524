/** One testbed for a suite of mocha, reverted before each test. */
import assert from 'node:assert/strict';
import { CommandFailedError, suiteTestbed } from 'virt-ts-unshare';
import { testTarball } from '../support/rootfs.ts';

describe('a package in a testbed', () => {
  const testbed = suiteTestbed({ before, after, beforeEach }, { rootfs: testTarball() });

  it('can be purged, even an essential one', async () => {
    await testbed().run('dpkg --purge --force-all gzip', { check: true });
    const { status } = await testbed().run('echo text | gzip');
    assert.equal(status, 127);
  });

  it('is there again in the next test', async () => {
    const { stdout } = await testbed().run('echo text | gzip | gzip -d', { check: true });
    assert.equal(stdout, 'text\n');
  });

  it('fails with its own words', async () => {
    await assert.rejects(testbed().run(['gzip', '--no-such-option'], { check: true }), (error) => {
      assert.ok(error instanceof CommandFailedError);
      assert.equal(error.status, 1);
      assert.match(error.stderr ?? '', /unrecognized option/);
      return true;
    });
  });
});
