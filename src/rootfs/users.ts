/** The processes that use a base: one empty file per use, named by the process, so no lock is needed. */
import { mkdirSync, readdirSync, rmSync, type Stats, statSync, utimesSync, writeFileSync } from 'node:fs';
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

/** Removes marks of processes that were killed. This is no use of the base, so the time of the directory stays. */
export function livingUsers(folder: string): number[] {
  const users = join(folder, 'users');
  let names: string[];
  let before: Stats;
  try {
    before = statSync(users);
    names = readdirSync(users);
  } catch (error) {
    if (isNotThere(error)) return [];
    throw error;
  }
  const living = names.map((name) => livingPid(name, join(users, name)));
  const dead = names.filter((_, at) => living[at] === undefined);
  for (const name of dead) rmSync(join(users, name), { force: true, recursive: true });
  if (dead.length > 0) keepTime(users, before);
  return living.filter((pid) => pid !== undefined);
}

function keepTime(users: string, { atime, mtime }: Stats): void {
  try {
    utimesSync(users, atime, mtime);
  } catch (error) {
    if (!isNotThere(error)) throw error;
  }
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
