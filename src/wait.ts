/** Waiting for conditions that the kernel does not announce. */

/** Checks at once and then up to every 20 ms, until the condition is true or `limit` ms have passed. */
export async function waitUntil(condition: () => boolean, limit: number): Promise<boolean> {
  const end = performance.now() + limit;
  for (let pause = 0.25; ; pause = Math.min(pause * 2, 20)) {
    if (condition()) return true;
    if (performance.now() >= end) return false;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Whether a promise resolves within `limit` ms; the waiting itself leaves nothing behind that keeps the program running. */
export async function within(promise: Promise<unknown>, limit: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), limit);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
