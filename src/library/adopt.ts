/**
 * A worker thread remembers which descriptors it has opened, and closes them when it ends. A stream that is given one closes it without the
 * worker's knowledge, and the number may then belong to another thread: that thread would lose a file, or Node.js would abort. So a
 * stream in a worker gets a descriptor that the worker does not remember: that of a FileHandle which has given it up.
 */
import { closeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { isMainThread } from 'node:worker_threads';

/** @param descriptor of a pipe of which another process or descriptor has the other end. Gives one for a stream. */
export async function forStream(descriptor: number, flags: 'r' | 'w'): Promise<number> {
  if (isMainThread) return descriptor;
  let handle: FileHandle;
  try {
    handle = await open(`/proc/self/fd/${descriptor}`, flags);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  const { fd } = handle;
  if (!giveUp(handle)) {
    await handle.close();
    return descriptor;
  }
  closeSync(descriptor);
  return fd;
}

/** Node.js has this for its own modules only. False where it is missing. */
function giveUp(handle: FileHandle): boolean {
  const key = Object.getOwnPropertySymbols(handle).find(({ description }) => description === 'kHandle');
  const inner: unknown = key === undefined ? undefined : Reflect.get(handle, key);
  if (typeof inner !== 'object' || inner === null) return false;
  const release: unknown = Reflect.get(inner, 'releaseFD');
  if (typeof release !== 'function') return false;
  Reflect.apply(release, inner, []);
  return true;
}
