/** What a test can leave behind in a testbed, as data. */

/** Names are safe to print: control characters, `%` and bytes that are not UTF-8 are percent-encoded. */
export type Leak = FileLeak | MountLeak | ProcessLeak | IpcLeak | InterfaceLeak;

/** A file below /tmp, /var/tmp, /run or /dev/shm, where POSIX shared memory and semaphores are too. */
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
  /** As it is in the testbed. */
  readonly pid: number;
  readonly uid: number;
  /** Its arguments, separated by spaces; for want of any its name in brackets. */
  readonly command: string;
  /**
   * It held the output of a command open that had ended, and was ended for it: of its command line the first 200 bytes are
   * told. Missing when it is still there.
   */
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
