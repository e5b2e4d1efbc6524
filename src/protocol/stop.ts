import { within } from '../wait.ts';

/** Milliseconds. */
const SETTLING = 1000;

/** The result of `work`. Once stopped, waits until all is gone, and throws the reason. */
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
    await dispose();
    throw signal.reason;
  } finally {
    if (onStop !== undefined) signal.removeEventListener('abort', onStop);
  }
}

export function once<T>(work: () => Promise<T>): () => Promise<T> {
  let done: Promise<T> | undefined;
  return () => {
    done ??= work();
    return done;
  };
}
