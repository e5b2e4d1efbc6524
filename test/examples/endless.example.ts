/** A test that does not end, for runners.test.ts to end it. */
import { withTestbed } from 'virt-ts-unshare';
import { testTarball } from '../support/rootfs.ts';

describe('an endless suite', function () {
  this.timeout(0);
  it(
    'waits',
    withTestbed({ rootfs: testTarball() }, async (testbed) => {
      await testbed.run('setsid sleep 4321 >/dev/null 2>&1 </dev/null & sleep 4321');
    }),
  );
});
