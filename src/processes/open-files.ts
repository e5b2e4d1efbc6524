/** Node.js raises its own soft limit of open files to the hard limit, and its children inherit that. */
import { readFileSync } from 'node:fs';

let limit: number | undefined;
let isRead = false;

/** The soft limit of the process that started this one; undefined where it is not known, or unlimited. */
export function callersOpenFiles(): number | undefined {
  if (!isRead) {
    isRead = true;
    try {
      limit = parseOpenFiles(readFileSync(`/proc/${process.ppid}/limits`, 'latin1'));
    } catch {}
  }
  return limit;
}

/** @param limits as in /proc/PID/limits */
function parseOpenFiles(limits: string): number | undefined {
  const [, soft] = /^Max open files\s+(\d+)\s/m.exec(limits) ?? [];
  return soft === undefined ? undefined : Number(soft);
}
