/** What the layers above see of a testbed: options, the provider that opens it, and the open testbed itself. */
import type { Argv } from '../host.ts';
import type { Leak } from '../leaks/leak.ts';
import type { Connector } from '../network/connector.ts';
import type { RootOptions } from '../rootfs/source.ts';

/** Where the upper layer lies. `auto` probes: tmpfs where the kernel has user xattrs on it, else the cache folder. */
export type Scratch =
  | { readonly kind: 'auto' }
  | {
      readonly kind: 'tmpfs' /** As of tmpfs(5): bytes with k, m, g, or a percentage. */;
      readonly size?: string | undefined;
    }
  /** `create`: made if it is not there, with its parents. */
  | { readonly kind: 'directory'; readonly path: string; readonly create?: boolean };

export interface BindMount {
  /** Absolute path of a folder or file of the host. */
  readonly outside: string;
  /** Absolute path in the testbed. */
  readonly inside: string;
  /** Mounted read-only, and with the permissions that it gives to others. Default: root of the testbed may do what the caller may. */
  readonly readOnly?: boolean;
}

export interface TestbedOptions {
  /** Which root filesystem; empty: found or built for the host's release and architecture. */
  readonly root: RootOptions;
  readonly binds: readonly BindMount[];
  readonly scratch: Scratch;
  /** `copy`: a plain tree instead of an overlay, for tests that rename(2) folders of the image. */
  readonly mode: 'overlay' | 'copy';
  /** Default: made up, and different for each server. */
  readonly hostname?: string | undefined;
  /** A Connector: a place in a laboratory, see network/laboratory.ts. */
  readonly network: 'host' | 'none' | 'private' | Connector;
  /** Ports to forward into a private network, as parsePublish in network/publish.ts reads them. */
  readonly publish: readonly string[];
  /** Seconds that a stuck drainer is waited for. */
  readonly drainTimeout: number;
  /** Seconds for one copy. */
  readonly copyTimeout: number;
  /** Bytes and entries that one copy from the testbed may have. */
  readonly maxCopyBytes?: number | undefined;
  readonly maxCopyEntries?: number | undefined;
  /** Say at every end of a command, revert and close what was left behind: on stderr, or added to a file. */
  readonly reportLeaks?: 'text' | 'json' | undefined;
  readonly leakFile?: string | undefined;
}

export interface RunOptions {
  /** Our descriptors. Default: /dev/null, the server's stderr, the server's stderr. */
  readonly stdin?: number;
  readonly stdout?: number;
  readonly stderr?: number;
  /** Default: /. */
  readonly cwd?: string;
  /** Name or number of a user inside; default: root. */
  readonly user?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Seconds; default: none. */
  readonly timeout?: number;
  /** Aborting ends the whole process tree of the command. */
  readonly signal?: AbortSignal;
}

export interface RunResult {
  /** 0…253 as the command ended, 128 + n for death by signal n. */
  readonly status: number;
}

export interface OpenTestbed {
  /** A folder inside with mode 777, at the same path after a revert. */
  readonly scratchDirectory: string;
  /** Words to put before a command's own; valid until revert, close or the server's end. */
  readonly executeCommand: readonly string[];
  /** Host pid of pid 1. */
  readonly pid: number;
  /**
   * Runs a command to its end, its output whole.
   * @throws CommandTimeoutError after `timeout` seconds or an abort, when its process tree is dead
   * @throws TestbedError when the testbed is broken
   */
  run(argv: Argv, options?: RunOptions): Promise<RunResult>;
  /**
   * Copies a file, or with a slash at the end of both paths a folder's content. Paths are bytes.
   * @throws CopyError, CopyTimeoutError, TestbedError
   */
  copyIn(hostPath: Buffer, testbedPath: Buffer): Promise<void>;
  copyOut(testbedPath: Buffer, hostPath: Buffer): Promise<void>;
  /**
   * What is there now and was not right after open or revert, and the processes that were ended since
   * for holding a command's output open.
   * @throws TestbedError when the testbed has died
   */
  leaks(): Promise<Leak[]>;
  /** An interactive shell on a terminal of ours; resolves with its status. */
  shell(directory: string, env: Readonly<Record<string, string>>, tty: number): Promise<number>;
  /** Back to the state at open. Resolves when the old state is verified gone. */
  revert(): Promise<void>;
  /** Resolves when every process, mount, namespace and folder of the testbed is verified gone. */
  close(): Promise<void>;
}

/** One per server: owns stage, holder and what all its testbeds have in common. */
export interface TestbedProvider {
  /** Resolves early with the name of the account, or undefined where there can be none. */
  normalUser(): Promise<string | undefined>;
  open(): Promise<OpenTestbed>;
  /** Closes what is open and ends the processes; resolves when all are gone. */
  dispose(): Promise<void>;
}
