/**
 * Quick moves between cgroups. The kernel moves a process when no process of the machine is in a fork, and to know this it waits some
 * 10 ms; not so for a move that follows another one soon. An init such as systemd 252 moves each service that it starts, so while it boots
 * this process is moved, again and again, to the cgroup that it is in.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findCgroup } from './cgroups.ts';

/** Milliseconds between two moves. */
const PAUSE = 2;

/** Without a cgroup that this user may write to, moves take their time. */
export async function whileMovesAreQuick<T>(work: () => Promise<T>): Promise<T> {
  let isDone = false;
  const moving = moveUntil(() => isDone).catch(() => {});
  try {
    return await work();
  } finally {
    isDone = true;
    await moving;
  }
}

async function moveUntil(isDone: () => boolean): Promise<void> {
  const { path } = findCgroup();
  if (path === undefined) return;
  let file: FileHandle | undefined;
  try {
    file = await open(join(path, 'cgroup.procs'), constants.O_WRONLY);
    while (!isDone()) {
      // Zero stands for the process that writes.
      await file.write('0');
      await delay(PAUSE);
    }
  } finally {
    await file?.close();
  }
}
