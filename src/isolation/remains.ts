/**
 * What a command has left in its namespaces: looked at from outside, before and after. The folders are held by
 * descriptors from the beginning, so whatever was mounted or linked over their names meanwhile, these are looked into.
 */
import { closeSync, lstatSync, openSync, readdirSync, readFileSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { type Argv, spawnHost, textOf } from '../host.ts';
import type { Log } from '../log.ts';
import type { FileLeak, IpcLeak, Leak, ProcessLeak } from '../testbed/leak.ts';
import { commandText, newLeaks, newMounts, parseTable, printable } from '../testbed/leak-text.ts';
import type { Isolation } from './isolation.ts';

const FOLDERS = ['/tmp', '/dev/shm', '/dev/mqueue'] as const;

export class Watch {
  readonly #isolation: Isolation;
  readonly #log: Log;
  readonly #folders = new Map<string, number>();
  readonly #processes: number;
  readonly #mounts: string;
  #before: readonly Leak[] = [];

  private constructor(isolation: Isolation, log: Log) {
    this.#isolation = isolation;
    this.#log = log;
    const root = `/proc/${isolation.pid}/root`;
    for (const folder of FOLDERS) {
      try {
        this.#folders.set(folder, openSync(root + folder, 'r'));
      } catch {
        // This machine has no such folder, so nothing can be left there.
      }
    }
    this.#processes = openSync(`${root}/proc`, 'r');
    this.#mounts = readMounts(isolation.pid);
  }

  /** Remembers what is there before the command runs. */
  static async start(isolation: Isolation, log: Log): Promise<Watch> {
    const watch = new Watch(isolation, log);
    watch.#before = await watch.remains();
    return watch;
  }

  /** What is there now and was not there before. Of folders their entries alone, not what is below those. */
  async remains(): Promise<Leak[]> {
    const mounts = newMounts(this.#mounts, readMounts(this.#isolation.pid));
    const mountPoints = new Set(mounts.map(({ path }) => path));
    const all = [
      ...[...this.#folders].flatMap(([name, descriptor]) => filesIn(name, descriptor, mountPoints)),
      ...mounts,
      ...processesIn(this.#processes),
      ...(await this.#systemV()),
    ];
    return newLeaks(this.#before, all);
  }

  close(): void {
    for (const descriptor of [...this.#folders.values(), this.#processes]) closeSync(descriptor);
  }

  /** /proc/sysvipc shows the IPC namespace of whoever opens it. */
  async #systemV(): Promise<IpcLeak[]> {
    const { pid, ownUsers } = this.#isolation;
    const users = ownUsers ? (['-U', '--preserve-credentials'] as const) : [];
    const files = ['/proc/sysvipc/shm', '/proc/sysvipc/sem', '/proc/sysvipc/msg'];
    const words: Argv = ['nsenter', '-t', String(pid), ...users, '-i', '--', 'cat', ...files];
    const cat = await spawnHost(words, this.#log, { stdio: ['ignore', 'pipe', 'ignore'] });
    // Each begins with the names of its columns, the first of which is "key".
    const [shm = '', sem = '', msg = ''] = (await textOf(cat.child.stdout)).split(/^(?= *key )/m);
    return [
      ...parseTable(shm, 'shm', 'shmid', 'size'),
      ...parseTable(sem, 'sem', 'semid', 'nsems'),
      ...parseTable(msg, 'msg', 'msqid', 'cbytes'),
    ];
  }
}

function filesIn(name: string, descriptor: number, mountPoints: ReadonlySet<string>): (FileLeak | IpcLeak)[] {
  const here = `/proc/self/fd/${descriptor}`;
  return readdirSync(here, 'latin1').flatMap((entry): (FileLeak | IpcLeak)[] => {
    const path = printable(Buffer.from(join(name, entry), 'latin1'));
    // Whoever serves a FUSE mount could keep us waiting; it is named as a mount.
    if (mountPoints.has(path)) return [];
    try {
      const stats = lstatSync(Buffer.from(join(here, entry), 'latin1'));
      const { uid, gid, size } = stats;
      if (name === '/dev/mqueue') return [{ kind: 'ipc', type: 'mqueue', id: `/${entry}`, uid, size }];
      return [{ kind: 'file', path, type: typeOf(stats), uid, gid, size }];
    } catch {
      return [];
    }
  });
}

function typeOf(stats: Stats): FileLeak['type'] {
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'link';
  if (stats.isSocket()) return 'socket';
  if (stats.isFIFO()) return 'fifo';
  return stats.isFile() ? 'file' : 'device';
}

/** Every process but pid 1 and those that are dead already, also those in pid namespaces below. */
function processesIn(descriptor: number): ProcessLeak[] {
  const here = `/proc/self/fd/${descriptor}`;
  return readdirSync(here).flatMap((entry): ProcessLeak[] => {
    if (!/^\d+$/.test(entry) || entry === '1') return [];
    const status = textOrNothing(join(here, entry, 'status'));
    const [, state] = /^State:\s*(\S)/m.exec(status) ?? [];
    if (state === undefined || state === 'Z' || state === 'X') return [];
    const [, name = ''] = /^Name:\t(.*)$/m.exec(status) ?? [];
    const uid = Number(/^Uid:\s*(\d+)/m.exec(status)?.[1]);
    const command = commandText(textOrNothing(join(here, entry, 'cmdline'))) || commandText(`[${name}]`);
    return [{ kind: 'process', pid: Number(entry), uid, command }];
  });
}

function readMounts(pid: number): string {
  return textOrNothing(`/proc/${pid}/mountinfo`);
}

function textOrNothing(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
