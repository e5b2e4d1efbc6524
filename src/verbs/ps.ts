import { type Registered, registered } from '../processes/open-testbeds.ts';
import { showSize, showTable } from './figures.ts';
import { memoryOfLayer, processesOf } from './usage.ts';
import type { RunVerb } from './verb.ts';

interface Shown extends Registered {
  /** Bytes of an upper layer in memory; one on disk is not measured. */
  readonly used: number | undefined;
  readonly processes: readonly { readonly pid: number; readonly command: string }[];
}

export const ps: RunVerb = async (words) => {
  const testbeds = registered(process.env).map(look);
  process.stdout.write(
    words.has('json')
      ? `${JSON.stringify(testbeds, null, 2)}\n`
      : table(testbeds, Date.now(), words.has('processes')),
  );
  return 0;
};

function look(testbed: Registered): Shown {
  return { ...testbed, used: memoryOfLayer(testbed), processes: processesOf(testbed) };
}

export function table(testbeds: readonly Shown[], now: number, withProcesses: boolean): string {
  if (testbeds.length === 0) return 'no testbed is open\n';
  const withInit = testbeds.some(({ init }) => init !== undefined);
  const rows = testbeds.flatMap((each) => [
    [
      String(each.pid),
      each.name,
      age(now - each.since),
      each.used === undefined ? each.scratch || '?' : showSize(each.used),
      String(each.processes.length),
      ...(withInit ? [each.init ?? '-'] : []),
      each.root,
    ],
    ...(withProcesses ? each.processes.map(({ pid, command }) => [`  ${pid}`, command]) : []),
  ]);
  return showTable(
    ['PID', 'NAME', 'AGE', 'SCRATCH', 'PROCESSES', ...(withInit ? ['INIT'] : []), 'ROOT FILESYSTEM'],
    rows,
  );
}

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
