/** The processes of the machine, from the host's /proc. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { scarceError } from '../scarce.ts';
import { isAlive, type ProcessName } from './identity.ts';
import { hasEnded, processState } from './stat.ts';

/** @throws TestbedError when this process has no descriptor or memory to look */
export function allPids(): number[] {
  let names: string[];
  try {
    names = readdirSync('/proc');
  } catch (error) {
    throw scarceError(error) ?? error;
  }
  return names.filter((name) => /^\d+$/.test(name)).map(Number);
}

export type NamespaceType = 'mnt' | 'pid' | 'pid_for_children' | 'net' | 'user' | 'ipc' | 'uts' | 'cgroup';

/** `TYPE:[INODE]`; undefined when the process has ended or may not be seen. */
export function namespaceOf(pid: number, type: NamespaceType): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${type}`);
  } catch {
    return undefined;
  }
}

export function membersOf(type: NamespaceType, namespace: string): number[] {
  return allPids().filter((pid) => namespaceOf(pid, type) === namespace);
}

/** Safe to print: bytes that are not printable ASCII become `?`. */
export function commandLine(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
    return text.replace(/[^ -~]/g, '?').slice(0, 200);
  } catch {
    return '';
  }
}

/** For messages: the pid and the command line, or in brackets the name where it has no command line any more. */
export function describeProcess(pid: number): string {
  return `${pid} (${commandLine(pid) || `[${nameOfCommand(pid)}]`})`;
}

function nameOfCommand(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'latin1')
      .trimEnd()
      .replace(/[^ -~]/g, '?');
  } catch {
    return 'ended';
  }
}

export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  } catch {
    // The process has ended, or the kernel lacks CONFIG_PROC_CHILDREN.
    return allPids().filter((other) => processState(other)?.parent === pid);
  }
}

/** A process, its descendants and the members of sessions that these lead, without zombies. */
export function treeOf(root: number): number[] {
  const states = allPids().flatMap((pid) => processState(pid) ?? []);
  const tree = new Set(states.filter((s) => s.pid === root || s.session === root).map((s) => s.pid));
  for (let grown = true; grown; ) {
    grown = false;
    for (const { pid, parent, session } of states) {
      if ((tree.has(parent) || tree.has(session)) && !tree.has(pid)) {
        tree.add(pid);
        grown = true;
      }
    }
  }
  return states.filter((s) => tree.has(s.pid) && !hasEnded(s)).map((s) => s.pid);
}

/** One that is given with its start time gets the signal only as that process, not as a later one with its pid. */
export function signalProcess(target: number | ProcessName, signal: NodeJS.Signals | number): void {
  if (typeof target !== 'number' && !isAlive(target)) return;
  try {
    process.kill(typeof target === 'number' ? target : target.pid, signal);
  } catch {}
}
