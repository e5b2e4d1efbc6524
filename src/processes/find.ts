/** Where programs of the host are. An ordinary user's PATH often lacks the directories of ip, tc and mount helpers. */
import { statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const SYSTEM = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'];

/** PATH, with the system directories at its end. */
export function systemPath(): string {
  return [process.env.PATH ?? '', ...SYSTEM].join(delimiter);
}

/** The full path of a program, searched as execvp(3) would do it with `systemPath`. */
export function findProgram(name: string): string | undefined {
  return systemPath()
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isProgram);
}

/** Whether `findProgram` finds it: looks first where it mostly is, as PATH may name many directories that it is not in. */
export function hasProgram(name: string): boolean {
  return SYSTEM.some((folder) => isProgram(join(folder, name))) || findProgram(name) !== undefined;
}

function isProgram(path: string): boolean {
  try {
    // Without an exception for what is missing, which takes longer than all the rest.
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat?.isFile() === true && (stat.mode & 0o111) !== 0;
  } catch {
    return false;
  }
}
