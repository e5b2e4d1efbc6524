/** What the commands of a testbed have left in it. */
import { collectLeaks } from '../leaks/collect.ts';
import { type Leak, newLeaks } from '../leaks/leak.ts';
import type { Log } from '../log.ts';
import { insideUser } from '../namespaces/idmap.ts';
import { failedUnits } from './boot.ts';
import type { Incarnation } from './incarnation.ts';
import type { Prepared } from './prepare.ts';
import { targetOf } from './target.ts';
import type { TestbedOptions } from './types.ts';

export type Looked = Pick<Incarnation, 'instance' | 'layer' | 'baseline' | 'report' | 'init'>;

interface Surroundings {
  readonly options: TestbedOptions;
  readonly scratchDirectory: string;
  readonly holder: Prepared['holder'];
  /** The layers below the testbed's own, topmost first. */
  readonly layers: readonly string[];
  readonly log: Log;
  /** Units, where they are known already. */
  readonly failed: readonly string[] | undefined;
}

/** @throws TestbedError when the testbed has ended */
export async function leaksOf(
  incarnation: Looked,
  { options, scratchDirectory, holder, layers, log, failed }: Surroundings,
): Promise<Leak[]> {
  const { instance, baseline, report, init } = incarnation;
  const { pid, mark } = instance;
  const place = {
    ...{ pid, baseline, layers, scratchDirectory },
    holder: holder.pid,
    boundAt: options.binds.map(({ inside }) => inside),
    // Without one, a child of pid 1 reads the lifeline.
    mark: init === undefined ? mark : undefined,
    exceptManagers: init !== undefined,
    insideUser: (uid: number) => insideUser(holder.idMap, uid),
  };
  const units =
    failed ??
    (init?.kind === 'systemd' ? await failedUnits({ target: targetOf(incarnation, options), log }) : []);
  const ofUnits = units.map((name): Leak => ({ kind: 'unit', name, state: 'failed' }));
  return [
    ...(await collectLeaks(place, log)),
    ...newLeaks(baseline.booted ?? [], ofUnits),
    ...(report?.ended() ?? []),
  ];
}
