import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { hasProgram } from '../processes/find.ts';
import { type Caller, largestRange, parseMap } from './idmap.ts';

function textOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function userName(uid: number): string[] {
  try {
    return [userInfo().username];
  } catch {
    // An id without a passwd entry: subuid(5) may name it by number.
    return [String(uid)];
  }
}

export function readCaller(): Caller {
  const uid = process.geteuid?.() ?? 0;
  const names = [...userName(uid), String(uid)];
  const helpers = hasProgram('newuidmap') && hasProgram('newgidmap');
  return {
    uid,
    gid: process.getegid?.() ?? 0,
    ownUsers: parseMap(textOrNothing('/proc/self/uid_map')),
    ownGroups: parseMap(textOrNothing('/proc/self/gid_map')),
    subUsers: helpers ? largestRange(textOrNothing('/etc/subuid'), names) : undefined,
    subGroups: helpers ? largestRange(textOrNothing('/etc/subgid'), names) : undefined,
  };
}
