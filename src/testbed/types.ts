import type { Argv } from '../host.ts';
import type { Leak } from '../leaks/leak.ts';
import type { Connector } from '../network/connector.ts';
import type { RootOptions } from '../rootfs/source.ts';

/** `auto` probes: tmpfs where the kernel has user xattrs on it, else the cache directory. */
export type Scratch =
  | { readonly kind: 'auto' }
  | {
      readonly kind: 'tmpfs' /** As of tmpfs(5): bytes with k, m, g, or a percentage. */;
      readonly size?: string | undefined;
    }
  | { readonly kind: 'directory'; readonly path: string; readonly create?: boolean };

interface BindMount {
  readonly outside: string;
  readonly inside: string;
  /** Mounted read-only, with its permissions for others. Default: root of the testbed may do what the caller may. */
  readonly readOnly?: boolean;
}

export interface TestbedOptions {
  /** Empty: found or built for the host's release and architecture. */
  readonly root: RootOptions;
  readonly binds: readonly BindMount[];
  readonly scratch: Scratch;
  /** `copy`: a plain tree instead of an overlay, for tests that rename(2) directories of the image. */
  readonly mode: 'overlay' | 'copy';
  readonly hostname?: string | undefined;
  readonly network: 'host' | 'none' | 'private' | Connector;
  readonly publish: readonly string[];
  readonly drainTimeout: number;
  readonly copyTimeout: number;
  readonly maxCopyBytes?: number | undefined;
  readonly maxCopyEntries?: number | undefined;
  /** Report what was left after each command, revert and close: on stderr, or in a file. */
  readonly reportLeaks?: 'text' | 'json' | undefined;
  readonly leakFile?: string | undefined;
}

export interface RunOptions {
  readonly stdin?: number;
  readonly stdout?: number;
  readonly stderr?: number;
  readonly cwd?: string;
  readonly user?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

export interface RunResult {
  readonly status: number;
}

export interface OpenTestbed {
  /** A directory inside with mode 777, at the same path after a revert. */
  readonly scratchDirectory: string;
  /** Valid until revert, close or the server's end. */
  readonly executeCommand: readonly string[];
  readonly pid: number;
  /** @throws CommandTimeoutError after `timeout` or an abort, when its process tree is dead; TestbedError */
  run(argv: Argv, options?: RunOptions): Promise<RunResult>;
  /** A file, or with a slash at the end of both a directory's content. @throws CopyError, CopyTimeoutError, TestbedError */
  copyIn(hostPath: Buffer, testbedPath: Buffer): Promise<void>;
  copyOut(testbedPath: Buffer, hostPath: Buffer): Promise<void>;
  /** What was not there at open or the last revert, and the processes that were ended since. @throws TestbedError */
  leaks(): Promise<Leak[]>;
  shell(directory: string, env: Readonly<Record<string, string>>, tty: number): Promise<number>;
  revert(): Promise<void>;
  close(): Promise<void>;
}

export interface TestbedProvider {
  normalUser(): Promise<string | undefined>;
  open(): Promise<OpenTestbed>;
  dispose(): Promise<void>;
}
