/**
 * Something that a command left behind; `kind` is the type. Names are safe to print: control characters, `%`
 * and bytes that are not UTF-8 are percent-encoded.
 */
export type Leak = FileLeak | MountLeak | ProcessLeak | IpcLeak | InterfaceLeak | UnitLeak;

/** A file below /tmp, /var/tmp, /run or /dev/shm, which also has POSIX shared memory and semaphores. */
export interface FileLeak {
  /** Distinguishes the types of leaks. */
  readonly kind: 'file';
  /** Absolute path in the testbed. */
  readonly path: string;
  /** What it is: a `link` is a symbolic link, a `fifo` a named pipe. */
  readonly type: 'file' | 'directory' | 'link' | 'socket' | 'fifo' | 'device';
  /** Its owner, as seen in the testbed. */
  readonly uid: number;
  /** Its group, as seen in the testbed. */
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
}
/** A mount that was made in the testbed. */
export interface MountLeak {
  /** Distinguishes the types of leaks. */
  readonly kind: 'mount';
  /** Its mount point in the testbed. */
  readonly path: string;
  /** Type of the file system, as in /proc/mounts, such as `tmpfs`. */
  readonly type: string;
  /** Its source, as in /proc/mounts. */
  readonly source: string;
}
/** A process that still runs, or that was ended because it held the output of its command open. */
export interface ProcessLeak {
  /** Distinguishes the types of leaks. */
  readonly kind: 'process';
  /** Its pid in the testbed. */
  readonly pid: number;
  /** Its user, as seen in the testbed. */
  readonly uid: number;
  /** Arguments, separated by spaces; without any, the name in brackets. */
  readonly command: string;
  /** It was ended because it held the output of an ended command. Missing when the process still runs. */
  readonly ended?: true;
}
/** An object of System V, or a POSIX message queue. */
export interface IpcLeak {
  /** Distinguishes the types of leaks. */
  readonly kind: 'ipc';
  /** Shared memory, a set of semaphores or a message queue of System V; or a POSIX message queue (`mqueue`). */
  readonly type: 'shm' | 'sem' | 'msg' | 'mqueue';
  /** Number, or name of the message queue. */
  readonly id: string;
  /** Its owner, as seen in the testbed. */
  readonly uid: number;
  /** Bytes of shared memory or in a queue; number of semaphores in a set. */
  readonly size: number;
}
/** A network interface that was made in the testbed. */
export interface InterfaceLeak {
  /** Distinguishes the types of leaks. */
  readonly kind: 'interface';
  /** Its name, such as `veth0`. */
  readonly name: string;
}

/** A unit of the testbed's systemd that has failed. */
export interface UnitLeak {
  /** Distinguishes the types of leaks. */
  readonly kind: 'unit';
  /** With its type, as `cron.service`. */
  readonly name: string;
  /** As of systemctl(1). */
  readonly state: 'failed';
}

/** A file that has only grown is not a new leak. */
export function newLeaks(before: readonly Leak[], now: readonly Leak[]): Leak[] {
  const identity = (leak: Leak) => JSON.stringify({ ...leak, size: 0 });
  const known = new Set(before.map(identity));
  return now.filter((leak) => !known.has(identity(leak)));
}
