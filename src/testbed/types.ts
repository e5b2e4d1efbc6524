import type { OnEvent } from '../events/types.ts';
import type { Argv, HostProcess } from '../host.ts';
import type { Leak } from '../leaks/leak.ts';
import type { LeakMoment } from '../leaks/report.ts';
import type { Connector } from '../network/connector.ts';
import type { ImageRecord } from '../rootfs/committed.ts';
import type { RootOptions } from '../rootfs/source.ts';
import type { InitChoice } from './init-choice.ts';
import type { Snapshot } from './snapshot.ts';

/** `auto` probes: tmpfs where the kernel has user xattrs on it, else the cache directory. */
export type Scratch =
  | { readonly kind: 'auto' }
  | {
      readonly kind: 'tmpfs' /** As of tmpfs(5): bytes with k, m, g, or a percentage. */;
      readonly size?: string | undefined;
    }
  | { readonly kind: 'directory'; readonly path: string; readonly create?: boolean };

interface BindMount {
  /** Absolute path of a directory or file of the host. */
  readonly outside: string;
  /** Absolute path in the testbed. */
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
  /** Default: none of them, but the stub in-testbed/pid1.sh. */
  readonly init?: InitChoice | undefined;
  /** Default: a random name. */
  readonly hostname?: string | undefined;
  /** For ps, exec and the like. Default: the host name. */
  readonly name?: string | undefined;
  /** Whether `close` may end the process that opens it. */
  readonly closable?: boolean;
  readonly network: 'host' | 'none' | 'private' | Connector;
  /** Ports to forward into a private network, as `parsePublish` reads them. */
  readonly publish: readonly string[];
  /** Seconds that a command waits for a process that reads its output but makes no progress. */
  readonly drainTimeout: number;
  /** Seconds for one copy. */
  readonly copyTimeout: number;
  /** Limits of one copy out of the testbed. Default: see copy/tally.ts. */
  readonly maxCopyBytes?: number | undefined;
  readonly maxCopyEntries?: number | undefined;
  /** Keep packages that apt downloads in the cache, and have them ready in later testbeds. Not with `mode: 'copy'`. */
  readonly rememberPackages?: boolean | undefined;
  /** Processes and threads, of all users of the testbed together. Default: see limits.ts. */
  readonly maxProcesses?: number | undefined;
  /** Bytes of memory. Default: see limits.ts. */
  readonly maxMemory?: number | undefined;
  /** Report what was left after each command, revert and close: on stderr, or in a file. */
  readonly reportLeaks?: 'text' | 'json' | undefined;
  readonly leakFile?: string | undefined;
  /** False: neither `leaks()` nor a report is asked for, so that an open need not look what an init has started. Default: true. */
  readonly asksLeaks?: boolean;
  /** Absolute path of a file that gets a line for each event. */
  readonly eventFile?: string | undefined;
  readonly onEvent?: OnEvent | undefined;
}

export interface RunOptions {
  /** Descriptors of this process. Default: /dev/null, the server's stderr, the server's stderr. */
  readonly stdin?: number;
  readonly stdout?: number;
  readonly stderr?: number;
  /** Default: /. */
  readonly cwd?: string;
  /** Name or number of a user inside, perhaps with a group: USER:GROUP. Default: root. */
  readonly user?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Seconds. Default: none. */
  readonly timeout?: number;
  /** Gets the execute program when it has been started. */
  readonly onStart?: (started: HostProcess) => void;
  /** Its abort ends all processes of the command. */
  readonly signal?: AbortSignal;
}

export interface AttachOptions extends Pick<RunOptions, 'cwd' | 'user' | 'env'> {
  readonly signal: AbortSignal;
  /** Gets the execute program, to send signals to it. */
  readonly onStart: (started: HostProcess) => void;
}

export interface RunResult {
  /** 0…253 as the command ended, 128 + n for death by signal n. */
  readonly status: number;
}

export interface CommitOptions extends Pick<ImageRecord, 'command' | 'recipe'> {
  readonly name: string;
  readonly signal?: AbortSignal;
}

export interface OpenTestbed {
  /** A directory inside with mode 777, at the same path after a revert. */
  readonly scratchDirectory: string;
  /** Words to put before those of a command; valid until revert, close or the server's end. */
  readonly executeCommand: readonly string[];
  /** Host pid of pid 1. */
  readonly pid: number;
  /** Resolves when it is closed, or its pid 1 has ended in another way than by a reboot. */
  readonly ended: Promise<void>;
  /**
   * Runs a command until it has ended and all its output is written.
   * @throws CommandTimeoutError after `timeout` or an abort, when its process tree is dead
   * @throws TestbedError when the testbed is broken
   */
  run(argv: Argv, options?: RunOptions): Promise<RunResult>;
  /** A file, or with a slash at the end of both a directory's content. @throws CopyError, CopyTimeoutError, TestbedError */
  copyIn(hostPath: Buffer, testbedPath: Buffer): Promise<void>;
  copyOut(testbedPath: Buffer, hostPath: Buffer): Promise<void>;
  /**
   * What was not there at open or the last revert, and the processes that were ended since. @param at of the events, if there shall
   * be any @throws TestbedError
   */
  leaks(at?: LeakMoment): Promise<Leak[]>;
  /** As `run`, on stdin, stdout and stderr of this process; where these are a terminal the command gets one of its own. */
  attach(argv: Argv, options: AttachOptions): Promise<RunResult>;
  /** An interactive shell on the terminal `tty`, a descriptor of this process; resolves with its status. */
  shell(directory: string, env: Readonly<Record<string, string>>, tty: number): Promise<number>;
  /**
   * Freezes the files and ends the processes, as a power failure does. The testbed goes on over the snapshot, to which a
   * revert goes back.
   * @throws TestbedError; with code TOO_MANY_LAYERS the testbed is as before, else it is closed
   */
  snapshot(): Promise<Snapshot>;
  /**
   * Ends every process and starts again over the same files; /run and /dev/shm are fresh and the boot id differs. The execute
   * command stays valid.
   * @param options prepared: the test does it; removes the driver's mark and waits
   * @throws TestbedError; then the testbed is closed, except with the code NO_REBOOT
   */
  reboot(options?: { readonly prepared?: boolean }): Promise<void>;
  /**
   * Makes an image of all that was written over the root filesystem. The processes are stopped meanwhile, and go on.
   * Gives the name, NAME-ARCH. @throws UsageError, TestbedError
   */
  commit(image: CommitOptions): Promise<string>;
  /** Back to the state at open or at the last snapshot. Resolves when nothing of the old state is left. */
  revert(): Promise<void>;
  /** Resolves when every process, mount, namespace and directory of the testbed is gone. */
  close(): Promise<void>;
}

/** One per server: owns stage, holder and what its testbeds have in common. */
export interface TestbedProvider {
  /** Resolves with the name of the account, or undefined where the id map has no id for one. */
  normalUser(): Promise<string | undefined>;
  /** Whether packages may start their services, on ports of the testbed's own. */
  startsServices(): Promise<boolean>;
  /** @param from of a testbed of this provider */
  open(from?: Snapshot): Promise<OpenTestbed>;
  /** Closes what is open and ends the processes; resolves when all are gone. */
  dispose(): Promise<void>;
}
