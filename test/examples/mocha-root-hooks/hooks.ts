/** Root hooks of mocha: `mocha --import ./hooks.ts` gives every test a fresh testbed as `this.testbed`. */
import { type TestbedContext, testbedHooks } from 'virt-ts-unshare';
import { testTarball } from '../../support/rootfs.ts';

declare module 'mocha' {
  interface Context extends TestbedContext {}
}

export const mochaHooks = testbedHooks({ rootfs: testTarball() });
