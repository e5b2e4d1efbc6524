/** Where host programs are. The PATH of an ordinary user often lacks the directories of ip, tc and mount helpers. */
import { statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const SYSTEM = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'];

export function systemPath(): string {
  return [process.env.PATH ?? '', ...SYSTEM].join(delimiter);
}

/** As execvp(3) searches, in `systemPath`. */
export function findProgram(name: string): string | undefined {
  return systemPath()
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isProgram);
}

/** Looks first where programs mostly are, because PATH may name many other directories. */
export function hasProgram(name: string): boolean {
  return SYSTEM.some((folder) => isProgram(join(folder, name))) || findProgram(name) !== undefined;
}

function isProgram(path: string): boolean {
  try {
    // An exception for a missing file takes longer than all the rest.
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat?.isFile() === true && (stat.mode & 0o111) !== 0;
  } catch {
    return false;
  }
}
