/** Bounds of time that hold on a busy machine too. */
import { availableParallelism, loadavg } from 'node:os';

/** What `limit` milliseconds on an idle machine are here and now: longer by the number of processes that share a processor. */
export function patience(limit: number): number {
  return limit * Math.max(1, (loadavg()[0] ?? 0) / availableParallelism());
}
