/**
 * A pipe of the kernel between two processes that we start: what comes from a trusted end need not pass through us. Node
 * has no pipe(2), and what it calls a pipe is a pair of sockets of which we keep one.
 */
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CopyError, messageOf } from '../errors.ts';
import { spawnHost } from '../host.ts';
import type { Log } from '../log.ts';

export interface Pipe {
  readonly read: number;
  readonly write: number;
  /** A file without a name, for notes about what goes through. */
  readonly notes: number;
  closeRead(): void;
  closeWrite(): void;
  /** The writing end, which is then for its taker to close. */
  takeWrite(): number;
  /** Closes what is still open. */
  close(): void;
}

/** @throws CopyError when there is no place for temporary files */
export async function openPipe(log: Log): Promise<Pipe> {
  const open = new Set<number>();
  const opened = (path: string, flags: string): number => {
    const file = openSync(path, flags, 0o600);
    open.add(file);
    return file;
  };
  const close = (file: number): void => {
    if (open.delete(file)) closeSync(file);
  };
  let folder: string | undefined;
  try {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-'));
    const path = join(folder, 'pipe');
    // Only for us: who is lent one end cannot open the other by way of /proc.
    const made = await spawnHost(['mkfifo', '-m', '600', path], log);
    const { status } = await made.exited;
    if (status !== 0) throw new CopyError(`mkfifo ended with status ${status}`);
    // Opened both ways first, so that neither way waits for the other.
    const both = opened(path, 'r+');
    const read = opened(path, 'r');
    const write = opened(path, 'w');
    close(both);
    const notes = opened(join(folder, 'notes'), 'wx+');
    return {
      read,
      write,
      notes,
      closeRead: () => close(read),
      closeWrite: () => close(write),
      takeWrite: () => {
        open.delete(write);
        return write;
      },
      close: () => [...open].forEach(close),
    };
  } catch (error) {
    [...open].forEach(close);
    throw new CopyError(`making a pipe in ${tmpdir()} failed: ${messageOf(error)}`, { cause: error });
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true });
  }
}
