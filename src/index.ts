/** The library: named exports only. */
export {
  CommandTimeoutError,
  CopyError,
  CopyTimeoutError,
  MisuseError,
  TestbedError,
  UsageError,
  VirtError,
} from './errors.ts';
export type { OpenTestbed, RunOptions, Scratch, TestbedOptions, TestbedProvider } from './testbed/types.ts';
