/** The identity of a process: pid and start time; in a file on disk also pid namespace and boot. */
import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { uptime } from 'node:os';
import { TestbedError } from '../errors.ts';
import { hasEnded, type ProcessState, processState } from './stat.ts';

export interface ProcessName extends Pick<ProcessState, 'pid' | 'startTime'> {}

interface ProcessIdentity extends ProcessName {
  readonly namespace: string;
  readonly boot: string;
}

export function thisProcess(): ProcessName {
  return nameOf(process.pid);
}

export function nameOf(pid: number): ProcessName {
  const state = processState(pid);
  if (state === undefined) throw processEnded(pid);
  return { pid, startTime: state.startTime };
}

export function processEnded(pid: number): TestbedError {
  return new TestbedError(`the process ${pid} has ended`, { code: 'PROCESS_ENDED' });
}

/** A zombie counts as ended. */
export function isAlive({ pid, startTime }: ProcessName): boolean {
  const state = processState(pid);
  return state?.startTime === startTime && !hasEnded(state);
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

/** A second of /proc/PID/stat, on all architectures of Linux that Node.js runs on. */
const TICKS = 100;

/** Milliseconds for which a process of another pid namespace counts as alive, because its pid cannot be looked up here. */
const FOREIGN_LIFETIME = 24 * 60 * 60 * 1000;

/** Whether the process that made the file `path` is alive; one of another pid namespace is while the file is new. */
export function isAliveAnywhere(identity: ProcessIdentity, path: string): boolean {
  const { boot, namespace } = ownIdentity();
  if (identity.boot !== boot) return false;
  if (identity.namespace === namespace) return isAlive(identity);
  const there = statSync(path, { throwIfNoEntry: false });
  if (there === undefined) return false;
  // The time of day may jump, so a process that was started lately by the other clock is alive too.
  const age = uptime() * 1000 - (Number(identity.startTime) * 1000) / TICKS;
  return Math.min(Date.now() - there.mtimeMs, age < 0 ? Number.POSITIVE_INFINITY : age) < FOREIGN_LIFETIME;
}
