/**
 * The identity of a process. On this machine, in this pid namespace and until the next boot, pid and start time are enough. A
 * file on disk, which other pid namespaces and later boots may read, says these two as well.
 */
import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { TestbedError } from '../errors.ts';
import { type ProcessState, processState } from './stat.ts';

export interface ProcessName extends Pick<ProcessState, 'pid' | 'startTime'> {}

export interface ProcessIdentity extends ProcessName {
  /** Inode of the pid namespace in which `pid` counts. */
  readonly namespace: string;
  /** The first eight characters of the kernel's boot id. */
  readonly boot: string;
}

export function thisProcess(): ProcessName {
  return nameOf(process.pid);
}

/** @throws TestbedError when there is no such process */
export function nameOf(pid: number): ProcessName {
  const state = processState(pid);
  if (state === undefined) throw new TestbedError(`the process ${pid} has ended`, { code: 'PROCESS_ENDED' });
  return { pid, startTime: state.startTime };
}

/** Whether this same process still runs. A zombie does not: it holds nothing any more. */
export function isAlive({ pid, startTime }: ProcessName): boolean {
  const state = processState(pid);
  return state?.startTime === startTime && state.state !== 'Z' && state.state !== 'X';
}

export function isProcessName(value: unknown): value is ProcessName {
  if (typeof value !== 'object' || value === null || !('pid' in value) || !('startTime' in value))
    return false;
  return typeof value.pid === 'number' && typeof value.startTime === 'string';
}

let own: ProcessIdentity | undefined;

export function ownIdentity(): ProcessIdentity {
  own ??= {
    pid: process.pid,
    startTime: processState(process.pid)?.startTime ?? '0',
    namespace: /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0',
    boot: readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8),
  };
  return own;
}

/** How long, in milliseconds, a process of another pid namespace counts as alive: its pid cannot be looked up here. */
const FOREIGN_LIFETIME = 24 * 60 * 60 * 1000;

/** Whether the process that made the file `path` is alive. In another pid namespace it counts as alive while the file is new. */
export function isAliveAnywhere(identity: ProcessIdentity, path: string): boolean {
  const { boot, namespace } = ownIdentity();
  if (identity.boot !== boot) return false;
  if (identity.namespace === namespace) return isAlive(identity);
  const there = statSync(path, { throwIfNoEntry: false });
  return there !== undefined && Date.now() - there.mtimeMs < FOREIGN_LIFETIME;
}
