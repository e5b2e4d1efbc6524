/** The processes that a process has started, wherever they are by now. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

export interface Process {
  readonly pid: number;
  readonly parent: number;
  /** Clock ticks since boot at which it started: tells it from a later one with the same pid. */
  readonly started: string;
  readonly command: string;
}

function readProcess(pid: string): Process | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name is in brackets and may hold anything, brackets too.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z') return undefined;
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    return { pid: Number(pid), parent: Number(fields[1]), started: fields[19] ?? '', command };
  } catch {
    // It ended while we looked.
    return undefined;
  }
}

function allProcesses(): Process[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(readProcess).filter((found) => found !== undefined);
}

/** The compiler of the tests, which starts when a module is first imported. */
const COMPILER = /\/esbuild --service/;

/** The process itself and all below it. Processes of a testbed are below the server: its pid 1 adopts their orphans. */
export function processTree(root: number): Process[] {
  const all = allProcesses().filter(({ command }) => !COMPILER.test(command));
  const tree = all.filter(({ pid }) => pid === root);
  for (const one of tree) tree.push(...all.filter(({ parent }) => parent === one.pid));
  return tree;
}

/** Those of them that are still there, zombies aside. */
export function stillThere(processes: readonly Process[]): Process[] {
  return processes.filter(({ pid, started }) => readProcess(String(pid))?.started === started);
}

/** Waits until a process below this one has this command line. Gives the whole tree. Rejects when the root has ended. */
export async function untilRuns(command: string, root: number): Promise<Process[]> {
  for (;;) {
    const tree = processTree(root);
    if (tree.some((one) => one.command === command)) return tree;
    if (tree.length === 0) throw new Error(`process ${root} ended before there was a ${command}`);
    await delay(20);
  }
}

/** Waits until they are all gone; the limit of the calling test is the bound. */
export async function untilGone(processes: readonly Process[]): Promise<void> {
  while (stillThere(processes).length > 0) await delay(20);
}
