/**
 * The mark of pid 1: its random timer slack in nanoseconds (PR_SET_TIMERSLACK). One read(2) gives it, while a shell needs
 * 200 for a start time. Only root of the testbed and processes of its user may read it, so a later process with the same pid
 * does not match.
 */
import { readFileSync } from 'node:fs';
import { isAlive } from '../processes/identity.ts';
import type { ProcessState } from '../processes/stat.ts';
import { randomInt } from '../random.ts';

export function makeMark(): string {
  return String(randomInt(50_001, 1_000_000_000));
}

export function keyringOf(mark: string): string {
  return `virt-ts-unshare-${mark}`;
}

/** Empty when pid 1 has ended: no process has this mark. */
export function readMark(pid1: Pick<ProcessState, 'pid' | 'startTime'>): string {
  try {
    const mark = readFileSync(`/proc/${pid1.pid}/timerslack_ns`, 'latin1').trim();
    return isAlive(pid1) ? mark : '';
  } catch {
    return '';
  }
}
