/** What an open testbed uses of the machine, read from the host. */
import { readFileSync, statfsSync } from 'node:fs';
import { helperWords } from '../helper.ts';
import { runHost } from '../host.ts';
import type { Log } from '../log.ts';
import { readMark } from '../namespaces/mark.ts';
import { commandLine, membersOf, namespaceOf, treeOf } from '../processes/list.ts';
import type { Registered } from '../processes/open-testbeds.ts';
import { processState } from '../processes/stat.ts';

interface Process {
  readonly pid: number;
  readonly command: string;
}

/** Not pid 1, nor the process that reads its lifeline, which has the same mark; those that an init has started have it too. */
export function processesOf(testbed: Registered): Process[] {
  const namespace = namespaceOf(testbed.pid, 'pid');
  const inside = namespace === undefined ? [] : membersOf('pid', namespace);
  const mark = readMark(testbed);
  return inside
    .filter((pid) => pid !== testbed.pid && (testbed.init !== undefined || !isMarked(pid, mark)))
    .map((pid) => ({ pid, command: commandLine(pid) }));
}

function isMarked(pid: number, mark: string): boolean {
  const state = processState(pid);
  return state !== undefined && readMark(state) === mark;
}

/** Bytes of memory of all its processes, also those in pid namespaces made inside. A shared page counts once. */
export function memoryOf(testbed: Registered): number {
  const pids = new Set([...processesOf(testbed).map(({ pid }) => pid), ...treeOf(testbed.pid)]);
  return [...pids].reduce((sum, pid) => sum + memoryOfProcess(pid), 0);
}

function memoryOfProcess(pid: number): number {
  try {
    const [, kilobytes = '0'] =
      /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')) ?? [];
    return Number(kilobytes) * 1024;
  } catch {
    return 0;
  }
}

/** Bytes of an upper layer in memory; undefined for one on disk. statfs(2) of an overlay gives the figures of its upper layer. */
export function memoryOfLayer({ pid, scratch }: Registered): number | undefined {
  if (scratch !== '') return undefined;
  try {
    const { blocks, bfree, bsize } = statfsSync(`/proc/${pid}/root`);
    return (blocks - bfree) * bsize;
  } catch {
    return undefined;
  }
}

/** Milliseconds for a look at all files of a layer on disk. */
const LOOK_LIMIT = 20_000;

/** Bytes of the upper layer, in memory or on disk; undefined where it cannot be read. */
export async function sizeOfLayer(testbed: Registered, log: Log): Promise<number | undefined> {
  const { scratch, holder, layers: [layer] = [] } = testbed;
  if (scratch === '') return memoryOfLayer(testbed);
  if (holder === undefined || layer === undefined) return undefined;
  // Its files belong to users of the testbed, so the caller may not list all directories.
  const argv = helperWords('enter', '-s', String(holder), 'du', '-sx', '--block-size=1', '--', layer);
  const { stdout } = await runHost(argv, log, { timeout: LOOK_LIMIT });
  const [, bytes] = /^(\d+)\t/.exec(stdout) ?? [];
  return bytes === undefined ? undefined : Number(bytes);
}
