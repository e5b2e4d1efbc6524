/** The same for Node's own test runner: `node --test`. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { suiteTestbed, withTestbed } from 'virt-ts-unshare';
import { testTarball } from '../support/rootfs.ts';

const options = { rootfs: testTarball() };

it(
  'a test with a testbed of its own',
  withTestbed(options, async (testbed) => {
    const { stdout } = await testbed.run(['id', '-un']);
    assert.equal(stdout, 'root\n');
  }),
);

describe('a suite with one testbed', () => {
  const testbed = suiteTestbed({ before, after, beforeEach }, options);

  it('can break it', async () => {
    await testbed().run('rm /etc/passwd', { check: true });
  });

  it('and has it whole again', async () => {
    await testbed().run('test -f /etc/passwd', { check: true });
  });
});
