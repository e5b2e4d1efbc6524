/**
 * An exclusive lock between processes, by flock(1) on an inherited descriptor, because Node has no flock(2). It lasts while
 * any process has that descriptor, so a child (tar, while it unpacks) keeps the lock when the server is killed.
 */
import { closeSync, fstatSync, openSync, rmSync, statSync } from 'node:fs';
import { TestbedError } from '../errors.ts';
import { briefWords, spawnHost, textOf } from '../host.ts';
import type { Log } from '../log.ts';

export interface Lock {
  readonly fd: number;
  release(): void;
}

export function tryLock(path: string, log: Log): Promise<Lock | undefined> {
  return take(path, ['-n'], log);
}

/** Waits. @throws the reason of the signal when it ends the wait, TestbedError */
export async function waitLock(path: string, log: Log, signal?: AbortSignal): Promise<Lock> {
  const lock = await take(path, [], log, signal);
  if (signal?.aborted !== true && lock !== undefined) return lock;
  lock?.release();
  signal?.throwIfAborted();
  throw new TestbedError(`waiting for the lock ${path} failed`, { code: 'CANNOT_LOCK', remedy: 'try again' });
}

async function take(
  path: string,
  options: readonly string[],
  log: Log,
  signal?: AbortSignal,
): Promise<Lock | undefined> {
  for (;;) {
    const fd = openSync(path, 'a', 0o600);
    let kept = false;
    try {
      if (!(await flock(fd, path, options, log, signal))) return undefined;
      // The previous holder may have removed the file: then no other process finds this lock.
      kept = isAt(fd, path);
      if (kept) return { fd, release: () => release(fd, path) };
    } finally {
      if (!kept) closeSync(fd);
    }
  }
}

async function flock(
  fd: number,
  path: string,
  options: readonly string[],
  log: Log,
  signal?: AbortSignal,
): Promise<boolean> {
  const child = await spawnHost(['flock', ...options, '3'], log, { stdio: ['ignore', 'ignore', 'pipe', fd] });
  const stop = () => child.kill('SIGKILL');
  if (signal?.aborted === true) stop();
  signal?.addEventListener('abort', stop, { once: true });
  const [{ status }, words] = await Promise.all([child.exited, textOf(child.child.stderr)]);
  signal?.removeEventListener('abort', stop);
  if (status === 0) return true;
  if (status === 1 || signal?.aborted === true) return false;
  throw new TestbedError(`cannot lock ${path}: ${briefWords(words) || `flock ended with status ${status}`}`, {
    code: 'CANNOT_LOCK',
    remedy: 'set XDG_CACHE_HOME to a directory on a local disk',
  });
}

/** Whether the path still leads to an open file. */
export function isAt(fd: number, path: string): boolean {
  try {
    const [own, there] = [fstatSync(fd), statSync(path)];
    return own.ino === there.ino && own.dev === there.dev;
  } catch {
    return false;
  }
}

function release(fd: number, path: string): void {
  try {
    // Before it is unlocked: a waiting process notices that and locks the next file of that name.
    rmSync(path, { force: true });
  } finally {
    closeSync(fd);
  }
}
