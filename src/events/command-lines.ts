/** From the helper's events "started" and "finished" to a CommandEvent. Pure. */
import type { HelperEvent } from '../helper.ts';
import type { CommandEvent } from './types.ts';

export interface Started {
  readonly testbed: number;
  /** Of the execute program. */
  readonly pid: number;
  readonly time: number;
  readonly argv: readonly string[];
  readonly truncated: boolean;
  readonly dpkg: string | undefined;
}

export interface Finished {
  readonly pid: number;
  readonly duration: number;
  readonly status: number;
  readonly figures: Pick<CommandEvent, 'cpu' | 'memory' | 'read' | 'written'>;
  readonly dpkg: string | undefined;
}

export function startedOf(event: HelperEvent): Started | undefined {
  const { testbed, pid, time, argv, dpkg } = event;
  if (event.event !== 'started' || typeof argv !== 'string') return undefined;
  if (typeof testbed !== 'number' || typeof pid !== 'number' || typeof time !== 'number') return undefined;
  const words = Buffer.from(argv, 'latin1').toString('utf8').split('\0');
  const truncated = words.at(-1) !== '';
  return {
    ...{ testbed, pid, truncated, time: time / 1000 },
    argv: truncated ? words : words.slice(0, -1),
    dpkg: typeof dpkg === 'string' ? dpkg : undefined,
  };
}

export function finishedOf(event: HelperEvent): Finished | undefined {
  const { pid, duration, status, cpu, memory, read, written, dpkg } = event;
  if (event.event !== 'finished' || typeof pid !== 'number') return undefined;
  if (typeof duration !== 'number' || typeof status !== 'number') return undefined;
  return {
    ...{ pid, status, duration: duration / 1000 },
    figures: {
      ...(typeof cpu === 'number' ? { cpu: cpu / 1000 } : {}),
      ...(typeof memory === 'number' ? { memory: memory * 1024 } : {}),
      ...(typeof read === 'number' ? { read } : {}),
      ...(typeof written === 'number' ? { written } : {}),
    },
    dpkg: typeof dpkg === 'string' ? dpkg : undefined,
  };
}
