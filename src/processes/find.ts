/** Where programs of the host are. An ordinary user's PATH often lacks the directories of ip, tc and mount helpers. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const SYSTEM = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'];

/** PATH, with the system directories at its end. */
export function systemPath(): string {
  return [process.env.PATH ?? '', ...SYSTEM].join(delimiter);
}

/** The full path of a program, searched as execvp(3) would do it with `systemPath`. */
export function findProgram(name: string): string | undefined {
  for (const folder of systemPath().split(delimiter)) {
    if (folder === '') continue;
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {}
  }
  return undefined;
}
