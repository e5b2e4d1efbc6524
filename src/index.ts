export type { ArchiveSource } from './copy/archive-source.ts';
export {
  CommandFailedError,
  CommandTimeoutError,
  ConnectError,
  CopyError,
  CopyTimeoutError,
  NotReadyError,
  OutputLimitError,
  TestbedError,
  UsageError,
  VirtError,
} from './errors.ts';
export type {
  CloseEvent,
  CommandEvent,
  CommitEvent,
  CopyEvent,
  EndEvent,
  ErrorEvent,
  EventFailure,
  LeakEvent,
  OnEvent,
  OpenEvent,
  PackagesEvent,
  RebootEvent,
  RevertEvent,
  SnapshotEvent,
  StartEvent,
  TestbedEvent,
  WaitEvent,
} from './events/types.ts';
export type {
  FileLeak,
  InterfaceLeak,
  IpcLeak,
  Leak,
  MountLeak,
  ProcessLeak,
  UnitLeak,
} from './leaks/leak.ts';
export type {
  Captured,
  Command,
  CommandOptions,
  OutputTo,
  RunningCommand,
  RunOptions,
  RunResult,
} from './library/command.ts';
export { eventFile } from './library/event-file.ts';
export {
  type SuiteHooks,
  type SuiteOptions,
  suiteTestbed,
  type TestbedContext,
  testbedHooks,
  withTestbed,
} from './library/hooks.ts';
export type { OpenOptions } from './library/open-options.ts';
export { closeAll } from './library/providers.ts';
export { type FromSnapshot, Snapshot } from './library/snapshot.ts';
export { Testbed } from './library/testbed.ts';
export type { Unit, UnitState } from './library/unit.ts';
export type {
  CommandCondition,
  Condition,
  HttpCondition,
  LogCondition,
  PortCondition,
  Ready,
  WaitOptions,
} from './library/wait-types.ts';
export type { FileContent, FilesToWrite, FileToWrite } from './library/write.ts';
export type { Link } from './network/cables.ts';
export { Laboratory, Network, type NetworkOptions } from './network/laboratory.ts';
export type { LinkQuality } from './network/link.ts';
