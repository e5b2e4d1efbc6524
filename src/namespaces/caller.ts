/** Who calls: the facts from which the id maps are chosen. */
import { accessSync, constants, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { type Caller, largestRange, parseMap } from './idmap.ts';

function textOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Our PATH with the system folders behind: ip and tc lie where an ordinary user's PATH does not lead. */
export function systemPath(): string {
  return `${process.env.PATH ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`;
}

/** The full path of a program, searched as execvp(3) would, with the system folders behind what PATH has. */
export function findProgram(name: string): string | undefined {
  const folders = [
    ...(process.env.PATH ?? '').split(delimiter),
    '/usr/local/sbin',
    '/usr/sbin',
    '/sbin',
    '/usr/bin',
    '/bin',
  ];
  for (const folder of folders) {
    if (folder === '') continue;
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {}
  }
  return undefined;
}

function userName(uid: number): string[] {
  try {
    return [userInfo().username];
  } catch {
    // An id without a passwd entry: subuid(5) may still name it by number.
    return [String(uid)];
  }
}

/** Reads /proc/self, /etc/subuid and /etc/subgid. */
export function readCaller(): Caller {
  const uid = process.geteuid?.() ?? 0;
  const names = [...userName(uid), String(uid)];
  const helpers = findProgram('newuidmap') !== undefined && findProgram('newgidmap') !== undefined;
  return {
    uid,
    gid: process.getegid?.() ?? 0,
    ownUsers: parseMap(textOrNothing('/proc/self/uid_map')),
    ownGroups: parseMap(textOrNothing('/proc/self/gid_map')),
    subUsers: helpers ? largestRange(textOrNothing('/etc/subuid'), names) : undefined,
    subGroups: helpers ? largestRange(textOrNothing('/etc/subgid'), names) : undefined,
  };
}
