import { utimesSync } from 'node:fs';

/** Milliseconds. */
const INTERVAL = 60 * 60 * 1000;

/** systemd-tmpfiles removes what is old below /tmp. Gives the function that ends the care. */
export function keepFresh(...paths: readonly string[]): () => void {
  const timer = setInterval(() => {
    for (const path of paths) refresh(path);
  }, INTERVAL).unref();
  return () => clearInterval(timer);
}

function refresh(path: string): void {
  try {
    utimesSync(path, new Date(), new Date());
  } catch {
    // It was removed, or is not there yet.
  }
}
