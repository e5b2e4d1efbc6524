/** Root hooks of mocha: `mocha --import ./hooks.ts` gives every test a fresh testbed as `this.testbed`, prepared once. */
import { type TestbedContext, testbedHooks } from 'virt-ts-unshare';
import { testTarball } from '../../support/rootfs.ts';

declare module 'mocha' {
  interface Context extends TestbedContext {}
}

export const mochaHooks = testbedHooks(
  { rootfs: testTarball() },
  { prepare: (testbed) => testbed.run('echo prepared | tee -a /etc/motd >>/srv/prepared', { check: true }) },
);
