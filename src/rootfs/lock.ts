/**
 * An exclusive lock between processes that vanishes with its holder, by whatever death. Node has no flock(2), but a lock
 * belongs to the open file, not to the process: flock(1) takes it on a descriptor that it shares with us, ends, and the
 * lock stays for as long as any process has that descriptor. A child that got it too (tar, while it unpacks) keeps the lock
 * when we are killed.
 */
import { closeSync, fstatSync, openSync, rmSync, statSync } from 'node:fs';
import { TestbedError } from '../errors.ts';
import { briefWords, spawnHost, textOf } from '../host.ts';
import type { Log } from '../log.ts';

export interface Lock {
  /** For a child that shall keep the lock while it lives. */
  readonly fd: number;
  release(): void;
}

/** Takes the lock when no process has it, else gives undefined at once. */
export function tryLock(path: string, log: Log): Promise<Lock | undefined> {
  return take(path, ['-n'], log);
}

/** Takes the lock, after waiting until it is free; gives undefined when the signal ends the wait. */
export function waitLock(path: string, log: Log, signal?: AbortSignal): Promise<Lock | undefined> {
  return take(path, [], log, signal);
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
      // The process that had it may have removed the file meanwhile: then no other process will find this lock.
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

function isAt(fd: number, path: string): boolean {
  try {
    const [ours, there] = [fstatSync(fd), statSync(path)];
    return ours.ino === there.ino && ours.dev === there.dev;
  } catch {
    return false;
  }
}

function release(fd: number, path: string): void {
  try {
    // While it is still locked: a process that waits for it notices that and locks the next file of that name.
    rmSync(path, { force: true });
  } finally {
    closeSync(fd);
  }
}
