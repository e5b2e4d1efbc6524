/** Names are safe to print: control characters, `%` and bytes that are not UTF-8 are percent-encoded. */
export type Leak = FileLeak | MountLeak | ProcessLeak | IpcLeak | InterfaceLeak;

export interface FileLeak {
  readonly kind: 'file';
  readonly path: string;
  readonly type: 'file' | 'directory' | 'link' | 'socket' | 'fifo' | 'device';
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
}
export interface MountLeak {
  readonly kind: 'mount';
  readonly path: string;
  readonly type: string;
  readonly source: string;
}
export interface ProcessLeak {
  readonly kind: 'process';
  readonly pid: number;
  readonly uid: number;
  readonly command: string;
  /** It was ended because it held the output of an ended command. Missing when the process still runs. */
  readonly ended?: true;
}
/** An object of System V, or a POSIX message queue. */
export interface IpcLeak {
  readonly kind: 'ipc';
  readonly type: 'shm' | 'sem' | 'msg' | 'mqueue';
  readonly id: string;
  readonly uid: number;
  readonly size: number;
}
export interface InterfaceLeak {
  readonly kind: 'interface';
  readonly name: string;
}

/** A file that has only grown is not a new leak. */
export function newLeaks(before: readonly Leak[], now: readonly Leak[]): Leak[] {
  const identity = (leak: Leak) => JSON.stringify({ ...leak, size: 0 });
  const known = new Set(before.map(identity));
  return now.filter((leak) => !known.has(identity(leak)));
}
