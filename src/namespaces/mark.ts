/**
 * The mark of a testbed's pid 1: its timer slack in nanoseconds (prctl(2), PR_SET_TIMERSLACK), which is read at a glance where
 * the start time takes 200 reads of one byte from a shell. Nobody but the testbed's own root and its user's processes may read
 * it, so whoever has the pid later cannot have it.
 */
import { readFileSync } from 'node:fs';
import { isAlive } from '../processes/identity.ts';
import type { ProcessState } from '../processes/stat.ts';
import { randomInt } from '../random.ts';

/** Above the kernel's default of 50000 and the tags of commands below that (helper/helper.h); below one second. */
export function makeMark(): string {
  return String(randomInt(50_001, 1_000_000_000));
}

/** The name of a testbed's session keyring; helper/exec.c makes it too. */
export function keyringOf(mark: string): string {
  return `virt-ts-unshare-${mark}`;
}

/** The mark of the pid 1 of a testbed that another process has open; empty, which no process has, when it has ended. */
export function readMark(pid1: Pick<ProcessState, 'pid' | 'startTime'>): string {
  try {
    const mark = readFileSync(`/proc/${pid1.pid}/timerslack_ns`, 'latin1').trim();
    return isAlive(pid1) ? mark : '';
  } catch {
    return '';
  }
}
