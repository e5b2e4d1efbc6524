/** Names are safe to print: control characters, `%` and bytes that are not UTF-8 are percent-encoded. */
export type Leak = FileLeak | MountLeak | ProcessLeak | IpcLeak | InterfaceLeak | UnitLeak;

/** A file below /tmp, /var/tmp, /run or /dev/shm, which also has POSIX shared memory and semaphores. */
export interface FileLeak {
  readonly kind: 'file';
  readonly path: string;
  readonly type: 'file' | 'directory' | 'link' | 'socket' | 'fifo' | 'device';
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
}
export interface MountLeak {
  readonly kind: 'mount';
  readonly path: string;
  /** Of the file system, as in /proc/mounts. */
  readonly type: string;
  readonly source: string;
}
export interface ProcessLeak {
  readonly kind: 'process';
  /** In the testbed. */
  readonly pid: number;
  readonly uid: number;
  /** Arguments, separated by spaces; without any, the name in brackets. */
  readonly command: string;
  /** It was ended because it held the output of an ended command. Missing when the process still runs. */
  readonly ended?: true;
}
/** An object of System V, or a POSIX message queue. */
export interface IpcLeak {
  readonly kind: 'ipc';
  readonly type: 'shm' | 'sem' | 'msg' | 'mqueue';
  /** Number, or name of the message queue. */
  readonly id: string;
  readonly uid: number;
  /** Bytes of shared memory or in a queue; number of semaphores in a set. */
  readonly size: number;
}
export interface InterfaceLeak {
  readonly kind: 'interface';
  readonly name: string;
}

/** Of systemd. */
export interface UnitLeak {
  readonly kind: 'unit';
  /** With its type, as `cron.service`. */
  readonly name: string;
  readonly state: 'failed';
}

/** A file that has only grown is not a new leak. */
export function newLeaks(before: readonly Leak[], now: readonly Leak[]): Leak[] {
  const identity = (leak: Leak) => JSON.stringify({ ...leak, size: 0 });
  const known = new Set(before.map(identity));
  return now.filter((leak) => !known.has(identity(leak)));
}
