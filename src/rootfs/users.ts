/** The processes that use a base: one empty file per use, named by the process, so no lock is needed. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemCodeOf } from '../errors.ts';
import { isAliveAnywhere, ownIdentity } from '../processes/identity.ts';
import { uniqueDigits } from '../random.ts';

export function addUser(folder: string): string | undefined {
  const { pid, startTime, namespace, boot } = ownIdentity();
  const path = join(folder, 'users', `${pid}.${startTime}.${namespace}.${boot}.${uniqueDigits()}`);
  try {
    writeFileSync(path, '', { flag: 'wx', mode: 0o600 });
    return path;
  } catch (error) {
    if (isNotThere(error)) return undefined;
    throw error;
  }
}

export function removeUser(path: string): void {
  rmSync(path, { force: true });
}

export function livingUsers(folder: string): number[] {
  const users = join(folder, 'users');
  let names: string[];
  try {
    names = readdirSync(users);
  } catch (error) {
    if (isNotThere(error)) return [];
    throw error;
  }
  return names.flatMap((name) => {
    const pid = livingPid(name, join(users, name));
    if (pid === undefined) rmSync(join(users, name), { force: true, recursive: true });
    return pid === undefined ? [] : [pid];
  });
}

/** Also when a file or a link is in the place of the directory: such a base is made again. */
function isNotThere(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCodeOf(error) ?? '');
}

function livingPid(name: string, path: string): number | undefined {
  const [pid = '', startTime = '', namespace = '', boot = ''] = name.split('.');
  return isAliveAnywhere({ pid: Number(pid), startTime, namespace, boot }, path) ? Number(pid) : undefined;
}

export function makeUsersFolder(folder: string): void {
  mkdirSync(join(folder, 'users'), { mode: 0o700 });
}
