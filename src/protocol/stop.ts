/** How a request that is under way is given up. */
import { within } from '../wait.ts';

/** Milliseconds for our own processes of a request whose testbed is gone: they have nothing left to do but to end. */
const SETTLING = 1000;

/** The result of `work`; once stopped, only that all is gone is waited for, and the reason thrown. */
export async function unlessStopped<T>(
  work: Promise<T>,
  signal: AbortSignal,
  dispose: () => Promise<void>,
): Promise<T> {
  let onStop: (() => void) | undefined;
  const stopped = new Promise<never>((_, reject) => {
    const settled = work.then(
      () => {},
      () => {},
    );
    onStop = () =>
      dispose()
        .then(() => within(settled, SETTLING))
        .then(() => reject(signal.reason), reject);
    signal.addEventListener('abort', onStop, { once: true });
  });
  try {
    return await Promise.race([work, stopped]);
  } catch (error) {
    if (!signal.aborted) throw error;
    // What the work says while its testbed is taken away is no news.
    await dispose();
    throw signal.reason;
  } finally {
    if (onStop !== undefined) signal.removeEventListener('abort', onStop);
  }
}

/** `work` done once, however often it is called; all get the first call's result. */
export function once<T>(work: () => Promise<T>): () => Promise<T> {
  let done: Promise<T> | undefined;
  return () => {
    done ??= work();
    return done;
  };
}
