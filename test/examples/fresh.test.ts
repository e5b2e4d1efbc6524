/** A fresh testbed for each test: what one test does to its Debian, no other sees. */
import { withTestbed } from 'virt-ts-unshare';
import { testTarball } from '../support/rootfs.ts';

const options = { rootfs: testTarball() };

describe('a hundred tests, each in a fresh testbed', () => {
  for (let number = 1; number <= 100; number += 1) {
    it(
      `number ${number} finds all as it was, and breaks it`,
      withTestbed(options, async (testbed) => {
        await testbed.run('test -f /etc/passwd && rm -r /etc/passwd /etc/apt', { check: true });
      }),
    );
  }
});
