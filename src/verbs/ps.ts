/** `ps`: the testbeds of this user that are open now. */
import { statfsSync } from 'node:fs';
import { commandLine, membersOf, namespaceOf } from '../processes/list.ts';
import { processState } from '../processes/stat.ts';
import { type Registered, registered } from '../registry.ts';
import { showSize, showTable } from './figures.ts';
import type { RunVerb } from './verb.ts';
import { parseVerb } from './words.ts';

const HELP = `Usage: virt-ts-unshare ps [--json] [--processes]

Lists the testbeds of this user that are open now, also those that a driver has opened.

      --json        as a JSON array of objects { pid, startTime, name, since, root, scratch, used, ownNetwork, owner,
                    processes: [{ pid, command }] }; since in milliseconds since 1970, used in bytes
      --processes   show the processes of each
      --stay-root   do not become the user who called sudo

Example:
  virt-ts-unshare ps --processes
`;

export interface Shown extends Registered {
  /** Bytes of a scratch in memory; undefined for one on disk, which is not measured. */
  readonly used: number | undefined;
  /** But for pid 1 and what belongs to it. */
  readonly processes: readonly { readonly pid: number; readonly command: string }[];
}

export const ps: RunVerb = async (argv) => {
  const options = parse(argv);
  if (options.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  const testbeds = registered(process.env).map(look);
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(testbeds, null, 2)}\n`);
  } else {
    process.stdout.write(table(testbeds, Date.now(), options.processes ?? false));
  }
  return 0;
};

function parse(argv: readonly string[]) {
  return parseVerb('ps', {
    args: [...argv],
    options: {
      json: { type: 'boolean' },
      processes: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  }).values;
}

function look(testbed: Registered): Shown {
  const namespace = namespaceOf(testbed.pid, 'pid');
  const inside = namespace === undefined ? [] : membersOf('pid', namespace);
  // What pid 1 keeps beside it reads its lifeline: a copy of itself, or a cat.
  const own = [commandLine(testbed.pid), 'cat'];
  const processes = inside
    .filter((pid) => pid !== testbed.pid)
    .map((pid) => ({ pid, command: commandLine(pid) }))
    .filter(({ pid, command }) => processState(pid)?.parent !== testbed.pid || !own.includes(command));
  return { ...testbed, used: usedOf(testbed), processes };
}

/** An overlay tells the figures of its upper layer's file system. */
function usedOf({ pid, scratch }: Registered): number | undefined {
  if (scratch !== '') return undefined;
  try {
    const { blocks, bfree, bsize } = statfsSync(`/proc/${pid}/root`);
    return (blocks - bfree) * bsize;
  } catch {
    return undefined;
  }
}

/** @param now milliseconds since 1970 */
export function table(testbeds: readonly Shown[], now: number, withProcesses: boolean): string {
  if (testbeds.length === 0) return 'no testbed is open\n';
  const rows = testbeds.flatMap((each) => [
    [
      String(each.pid),
      each.name,
      age(now - each.since),
      each.used === undefined ? each.scratch || '?' : showSize(each.used),
      String(each.processes.length),
      each.root,
    ],
    ...(withProcesses ? each.processes.map(({ pid, command }) => [`  ${pid}`, command]) : []),
  ]);
  return showTable(['PID', 'NAME', 'AGE', 'SCRATCH', 'PROCESSES', 'ROOT FILESYSTEM'], rows);
}

/** Milliseconds as the two largest of days, hours, minutes and seconds. */
export function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const parts = [
    [Math.floor(seconds / 86400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ');
}
