/** Processes as /proc tells them. The host's own /proc is trusted; command lines in it are not. */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';

export interface ProcessState {
  readonly pid: number;
  /** One letter as of proc(5), `Z` for a zombie. */
  readonly state: string;
  readonly parent: number;
  readonly session: number;
  /** Clock ticks after boot: with the pid it names one process for good. */
  readonly startTime: string;
}

/** Reads the text of /proc/PID/stat. The command name may hold anything, but ends with the last parenthesis. */
export function parseStat(text: string): ProcessState | undefined {
  const name = text.lastIndexOf(')');
  const [pid] = text.split(' ', 1);
  const fields = text.slice(name + 2).split(' ');
  const [state, parent, , session] = fields;
  const startTime = fields[19];
  if (name < 0 || pid === undefined || state === undefined || startTime === undefined) return undefined;
  return { pid: Number(pid), state, parent: Number(parent), session: Number(session), startTime };
}

/** One process, or undefined when there is none (any more). */
export function processState(pid: number): ProcessState | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return undefined;
  }
}

/** Whether it is still this process, and more than a zombie: a zombie has let go of everything. */
export function runs({ pid, startTime }: Pick<ProcessState, 'pid' | 'startTime'>): boolean {
  const now = processState(pid);
  return now !== undefined && now.startTime === startTime && now.state !== 'Z';
}

/** Whether it waits in a way that a signal does not end, or perhaps only a SIGKILL. */
export function isStuck(pid: number): boolean {
  return processState(pid)?.state === 'D';
}

/** Whether a process has our own user id. */
export function isOurs(pid: number): boolean {
  try {
    return statSync(`/proc/${pid}`).uid === process.geteuid?.();
  } catch {
    return false;
  }
}

export function allPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

export type NamespaceType = 'mnt' | 'pid' | 'pid_for_children' | 'net' | 'user' | 'ipc' | 'uts' | 'cgroup';

/** `TYPE:[INODE]` of one of a process's namespaces, or undefined when it is gone or not ours to see. */
export function namespaceOf(pid: number, type: NamespaceType): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${type}`);
  } catch {
    return undefined;
  }
}

/** The processes that are in a namespace now. */
export function membersOf(type: NamespaceType, namespace: string): number[] {
  return allPids().filter((pid) => namespaceOf(pid, type) === namespace);
}

/** A process's arguments in one line, safe to print: bytes that are not printable ASCII become `?`. */
export function commandLine(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
    return text.replace(/[^ -~]/g, '?').slice(0, 200);
  } catch {
    return '';
  }
}

/** The children of a process that has a single thread. */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  } catch {
    // It is gone, or this kernel does not tell.
    return allPids().filter((other) => processState(other)?.parent === pid);
  }
}

/** A process and all that descends from it or shares its session, as far as they still run. */
export function treeOf(root: number): number[] {
  const states = allPids().flatMap((pid) => processState(pid) ?? []);
  const tree = new Set(states.filter((s) => s.pid === root || s.session === root).map((s) => s.pid));
  for (let grown = true; grown; ) {
    grown = false;
    for (const { pid, parent } of states) {
      if (tree.has(parent) && !tree.has(pid)) {
        tree.add(pid);
        grown = true;
      }
    }
  }
  return states.filter((s) => tree.has(s.pid) && s.state !== 'Z').map((s) => s.pid);
}

/** Sends a signal; a process that is gone already is no error. Our user owns the testbeds' user namespaces, so may. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {}
}
