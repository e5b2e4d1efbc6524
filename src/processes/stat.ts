/** The only parser of /proc/PID/stat. */
import { readFileSync } from 'node:fs';
import { scarceError } from '../scarce.ts';

export interface ProcessState {
  readonly pid: number;
  /** Of the first thread. */
  readonly state: string;
  readonly threads: number;
  readonly parent: number;
  readonly session: number;
  readonly startTime: string;
}

/** The command name may contain any byte; the last parenthesis ends it. */
export function parseStat(text: string): ProcessState | undefined {
  const name = text.lastIndexOf(')');
  const [pid] = text.split(' ', 1);
  const fields = text.slice(name + 2).split(' ');
  const [state, parent, , session] = fields;
  const startTime = fields[19];
  if (name < 0 || pid === undefined || state === undefined || startTime === undefined) return undefined;
  return {
    ...{ pid: Number(pid), state, threads: Number(fields[17]) },
    ...{ parent: Number(parent), session: Number(session), startTime },
  };
}

/** A zombie holds nothing; but its state is also that of a process whose first thread has ended before others. */
export function hasEnded({ state, threads }: ProcessState): boolean {
  return (state === 'Z' || state === 'X') && threads <= 1;
}

/** Undefined when there is no such process. @throws TestbedError when this process has no descriptor or memory to look */
export function processState(pid: number): ProcessState | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch (error) {
    return notThere(error);
  }
}

/** For errors of a small file, such as in /proc, which mean that it is not there. @throws TestbedError for those that do not */
export function notThere(error: unknown): undefined {
  const scarce = scarceError(error);
  if (scarce !== undefined) throw scarce;
}

/** Of the kernel for programs, on each architecture. */
const TICKS_A_SECOND = 100;

/** Milliseconds: its age and the processor time of it alone, in steps of 10. */
export function processTimes(pid: number): { readonly age: number; readonly cpu: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [uptime = ''] = readFileSync('/proc/uptime', 'latin1').split(' ');
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [user = 0, system = 0, started = 0] = [fields[11], fields[12], fields[19]];
    const inMilliseconds = (ticks: number) => (ticks * 1000) / TICKS_A_SECOND;
    return { age: Number(uptime) * 1000 - inMilliseconds(started), cpu: inMilliseconds(user + system) };
  } catch {
    return undefined;
  }
}

/** Whether it waits in a state that no signal ends, or only SIGKILL. */
export function isStuck(pid: number): boolean {
  return processState(pid)?.state === 'D';
}
