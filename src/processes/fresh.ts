import { utimesSync } from 'node:fs';

/** Milliseconds. */
const INTERVAL = 60 * 60 * 1000;

/** systemd-tmpfiles removes what is old below /tmp. Gives the function that ends the care. */
export function keepFresh(path: string): () => void {
  const timer = setInterval(() => {
    try {
      utimesSync(path, new Date(), new Date());
    } catch {
      // It was removed.
    }
  }, INTERVAL).unref();
  return () => clearInterval(timer);
}
