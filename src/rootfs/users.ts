/**
 * Who uses a base: one empty file per use, named by the process. No lock is needed on this way, so no process is started,
 * and a file whose process has ended by whatever death counts for nothing.
 */
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemCodeOf } from '../errors.ts';

/** A process, told apart from a later one with the same pid, from one of another pid namespace and of another boot. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks after boot: field 22 of /proc/PID/stat. */
  readonly started: string;
  /** Inode of the pid namespace that `pid` counts in. */
  readonly namespace: string;
  /** The first eight characters of the kernel's boot id. */
  readonly boot: string;
}

/** How long, in milliseconds, we believe in a process of another pid namespace, which we cannot look for. */
const FOREIGN_LIFETIME = 24 * 60 * 60 * 1000;

let own: ProcessIdentity | undefined;
let uses = 0;

export function ownIdentity(): ProcessIdentity {
  own ??= {
    pid: process.pid,
    started: startTime(process.pid) ?? '0',
    namespace: /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0',
    boot: readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8),
  };
  return own;
}

/** Field 22 of /proc/PID/stat; undefined when there is no such process or it is a zombie. */
export function startTime(pid: number): string | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The command name may hold anything but ends with the last parenthesis; field 3 follows.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

/** Says that this process uses the base in `folder` and gives the file that says it; undefined when the folder is gone. */
export function addUser(folder: string): string | undefined {
  const { pid, started, namespace, boot } = ownIdentity();
  uses += 1;
  const path = join(folder, 'users', `${pid}.${started}.${namespace}.${boot}.${uses}`);
  try {
    writeFileSync(path, '', { flag: 'wx', mode: 0o600 });
    return path;
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

export function removeUser(path: string): void {
  rmSync(path, { force: true });
}

/** The pids of the living users of the base in `folder`; the files of dead ones are removed. */
export function livingUsers(folder: string): number[] {
  const users = join(folder, 'users');
  let names: string[];
  try {
    names = readdirSync(users);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw error;
  }
  return names.flatMap((name) => {
    const pid = livingPid(name, join(users, name));
    if (pid === undefined) rmSync(join(users, name), { force: true });
    return pid === undefined ? [] : [pid];
  });
}

function livingPid(name: string, path: string): number | undefined {
  const [pid = '', started = '', namespace = '', boot = ''] = name.split('.');
  return isAlive({ pid: Number(pid), started, namespace, boot }, path) ? Number(pid) : undefined;
}

/** Whether a process lives that has left `path`. One of another pid namespace is believed in while what it left is young. */
export function isAlive(who: ProcessIdentity, path: string): boolean {
  const we = ownIdentity();
  if (who.boot !== we.boot) return false;
  if (who.namespace === we.namespace) return startTime(who.pid) === who.started;
  const there = statSync(path, { throwIfNoEntry: false });
  return there !== undefined && Date.now() - there.mtimeMs < FOREIGN_LIFETIME;
}

export function makeUsersFolder(folder: string): void {
  mkdirSync(join(folder, 'users'), { mode: 0o700 });
}
