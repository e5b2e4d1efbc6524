import { createLog } from '../log.ts';
import { registered } from '../processes/open-testbeds.ts';
import { choose } from './exec.ts';
import { showSize, showTable } from './figures.ts';
import { memoryOf, processesOf, sizeOfLayer } from './usage.ts';
import type { RunVerb } from './verb.ts';

interface Stats {
  readonly name: string;
  readonly pid: number;
  readonly processes: number;
  readonly memory: number;
  readonly layer: number | undefined;
}

/** Of the testbeds that are named, else of all that are open. */
export const stats: RunVerb = async (words) => {
  const log = createLog({ debug: words.has('debug') });
  const open = registered(process.env);
  const chosen = words.operands.length === 0 ? open : words.operands.map((name) => choose(name, open));
  const all = await Promise.all(
    chosen.map(async (testbed): Promise<Stats> => {
      const { name, pid } = testbed;
      const layer = await sizeOfLayer(testbed, log);
      return { name, pid, processes: processesOf(testbed).length, memory: memoryOf(testbed), layer };
    }),
  );
  process.stdout.write(words.has('json') ? `${JSON.stringify(all, undefined, 2)}\n` : statsTable(all));
  return 0;
};

function statsTable(all: readonly Stats[]): string {
  if (all.length === 0) return 'no testbed is open\n';
  const rows = all.map(({ name, pid, processes, memory, layer }) => [
    ...[name, String(pid), String(processes), showSize(memory), layer === undefined ? '?' : showSize(layer)],
  ]);
  return showTable(['NAME', 'PID', 'PROCESSES', 'MEMORY', 'LAYER'], rows);
}
