/**
 * What the testbeds of this process share: one provider for each set of options, so that only the first open makes user
 * namespaces and unpacks. Module-level on purpose, as it lives and ends with the process: a provider keeps nothing running,
 * the death of the process ends it, and before the process ends by itself it is disposed of in order.
 */
import { randomUUID } from 'node:crypto';
import { createLog, type Log, silentLog } from '../log.ts';
import { preflight } from '../preflight.ts';
import { Provider } from '../testbed/provider.ts';
import { type OpenOptions, testbedFromOptions } from './open-options.ts';
import { Pipes } from './pipes.ts';

export interface Shared {
  /** Rejects with a UsageError when something that can be seen at once is wrong with the options. */
  readonly checked: Promise<void>;
  readonly provider: Provider;
  readonly pipes: Pipes;
  /** For one testbed only, and to be disposed of with it. */
  readonly ownPlace: boolean;
  /** Testbeds that are open or being opened. */
  users: number;
}

const shared = new Map<string, Shared>();
const log: Log = process.env.VIRT_TS_UNSHARE_DEBUG ? createLog({ debug: true }) : silentLog;

/** @throws UsageError */
export function sharedProvider(options: OpenOptions): Shared {
  const full = testbedFromOptions(options);
  // A place in a laboratory is one testbed's own.
  const ownPlace = typeof full.network === 'object';
  const key = ownPlace ? `place ${randomUUID()}` : JSON.stringify(full);
  const there = shared.get(key);
  if (there !== undefined) return there;
  const checked = preflight(full, process.env);
  const made = { checked, provider: new Provider(full, log), pipes: new Pipes(log), ownPlace, users: 0 };
  if (shared.size === 0) process.once('beforeExit', () => void closeAll());
  shared.set(key, made);
  return made;
}

/** Forgets one that could not be made, so that the next open tries again. */
export async function forget(one: Shared): Promise<void> {
  for (const [key, each] of shared) if (each === one) shared.delete(key);
  one.pipes.close();
  // Why it failed is told already.
  await one.provider.dispose().catch(() => {});
}

/**
 * Closes every testbed of this process that is open, and what they share. Needed only by who wants it before the process
 * ends.
 * @throws TestbedError when one cannot be removed
 */
export async function closeAll(): Promise<void> {
  const all = [...shared.values()];
  shared.clear();
  for (const { pipes } of all) pipes.close();
  const ends = await Promise.allSettled(all.map(({ provider }) => provider.dispose()));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}
