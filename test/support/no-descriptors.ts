import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

/** Runs `work`, which is synchronous, while this process has no free descriptor. */
export function withoutDescriptors<T>(work: () => T): T {
  const limit = (value: string) => execFileSync('prlimit', [`--pid=${process.pid}`, `--nofile=${value}`]);
  const [soft, hard] = execFileSync('prlimit', [
    ...[`--pid=${process.pid}`, '--nofile', '--noheadings', '--raw', '--output=SOFT,HARD'],
  ])
    .toString()
    .trim()
    .split(/\s+/);
  const opened: number[] = [];
  limit(`200:${hard}`);
  try {
    for (;;) opened.push(openSync('/dev/null', 'r'));
  } catch {
    return work();
  } finally {
    for (const fd of opened) closeSync(fd);
    limit(`${soft}:${hard}`);
  }
}
