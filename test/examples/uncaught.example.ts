/** A program that ends by an uncaught error while its testbed is open, for runners.test.ts. */
import { Testbed } from 'virt-ts-unshare';
import { testTarball } from '../support/rootfs.ts';

const testbed = await Testbed.open({ rootfs: testTarball() });
void testbed.run('setsid sleep 4321 >/dev/null 2>&1 </dev/null & sleep 4321');
process.stdin.once('data', () => {
  throw new Error('nobody catches this');
});
