/** The same for vitest, whose hooks have other names. */
import { suiteTestbed, withTestbed } from 'virt-ts-unshare';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { testTarball } from '../support/rootfs.ts';

const options = { rootfs: testTarball() };

it(
  'a test with a testbed of its own',
  withTestbed(options, async (testbed) => {
    const { stdout } = await testbed.run(['id', '-un']);
    expect(stdout).toBe('root\n');
  }),
);

describe('a suite with one testbed', () => {
  const testbed = suiteTestbed({ before: beforeAll, after: afterAll, beforeEach }, options);

  it('can break it', async () => {
    await testbed().run('rm /etc/passwd', { check: true });
  });

  it('and has it whole again', async () => {
    await testbed().run('test -f /etc/passwd', { check: true });
  });
});
