/** The processes that a process has started, wherever they are by now. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { allPids } from '../../src/processes/list.ts';
import { processState } from '../../src/processes/stat.ts';

export interface Process {
  readonly pid: number;
  readonly parent: number;
  /** Clock ticks since boot at which it started: tells it from a later one with the same pid. */
  readonly started: string;
  readonly command: string;
}

function readProcess(pid: number): Process | undefined {
  try {
    const state = processState(pid);
    if (state === undefined || state.state === 'Z') return undefined;
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    return { pid: state.pid, parent: state.parent, started: state.startTime, command };
  } catch {
    // It has ended.
    return undefined;
  }
}

function allProcesses(): Process[] {
  return allPids()
    .map(readProcess)
    .filter((found) => found !== undefined);
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
  return processes.filter(({ pid, started }) => readProcess(pid)?.started === started);
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

/** Waits until the process below this one that has this command line is stopped no more: a shell gives it the terminal before. */
export async function untilGoesOn(command: string, root: number): Promise<void> {
  for (;;) {
    const tree = await untilRuns(command, root);
    const found = tree.filter((one) => one.command === command);
    if (found.every(({ pid }) => processState(pid)?.state !== 'T')) return;
    await delay(20);
  }
}

/** Waits until they are all gone; the limit of the calling test is the bound. */
export async function untilGone(processes: readonly Process[]): Promise<void> {
  while (stillThere(processes).length > 0) await delay(20);
}
