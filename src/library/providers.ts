/**
 * One provider for each set of options, shared by the testbeds of this process, so that only the first open creates user
 * namespaces and unpacks. Module-level, because it ends with the process.
 */
import { randomUUID } from 'node:crypto';
import { createLog, type Log, silentLog } from '../log.ts';
import { preflight } from '../preflight.ts';
import { Provider } from '../testbed/provider.ts';
import { Pipes } from './fifos.ts';
import { type OpenOptions, testbedFromOptions } from './open-options.ts';

export interface Shared {
  readonly checked: Promise<unknown>;
  readonly provider: Provider;
  readonly pipes: Pipes;
  /** A place in a laboratory, which has one address, so at most one testbed. */
  readonly ownPlace: boolean;
  /** Open testbeds, and snapshots. */
  users: number;
  testbeds: number;
}

const shared = new Map<string, Shared>();
const log: Log = process.env.VIRT_TS_UNSHARE_DEBUG ? createLog({ debug: true }) : silentLog;

export function sharedProvider(options: OpenOptions): Shared {
  const full = testbedFromOptions(options);
  const ownPlace = typeof full.network === 'object';
  const key = ownPlace ? `place ${randomUUID()}` : JSON.stringify(full);
  const there = shared.get(key);
  if (there !== undefined) return there;
  const checked = preflight(full, process.env);
  const made = {
    checked,
    provider: new Provider(full, log),
    pipes: new Pipes(log),
    ownPlace,
    users: 0,
    testbeds: 0,
  };
  process.off('beforeExit', closeAtExit).once('beforeExit', closeAtExit);
  shared.set(key, made);
  return made;
}

function closeAtExit(): void {
  void closeAll();
}

/** One user less. The last one of a place in a laboratory gives it back. */
export async function leave(one: Shared): Promise<void> {
  one.users -= 1;
  if (one.ownPlace && one.users === 0) await forget(one);
}

export async function forget(one: Shared): Promise<void> {
  for (const [key, each] of shared) if (each === one) shared.delete(key);
  one.pipes.close();
  await one.provider.dispose().catch(() => {});
}

/**
 * Closes every open testbed of this process, and what they share. Needed only where that must happen before the process ends.
 * @throws {@link TestbedError} when one cannot be removed
 */
export async function closeAll(): Promise<void> {
  const all = [...shared.values()];
  shared.clear();
  for (const { pipes } of all) pipes.close();
  const ends = await Promise.allSettled(all.map(({ provider }) => provider.dispose()));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}
