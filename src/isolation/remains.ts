/**
 * What a command has left in its namespaces: looked at from outside, before and after. The folders are held by
 * descriptors from the beginning, so whatever was mounted or linked over their names meanwhile, these are looked into.
 */
import { closeSync, lstatSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Argv, spawnHost, textOf } from '../host.ts';
import type { Log } from '../log.ts';
import type { Isolation } from './isolation.ts';

/** One thing left behind. Its words come from the command: bytes that are not printable ASCII are `?`. */
export interface Remain {
  readonly kind: 'file' | 'mount' | 'process' | 'ipc';
  /** Path, mount point with its type, pid inside with command line, or name and id. */
  readonly what: string;
  /** Owner and size where there are any, for people. */
  readonly detail?: string;
}

/** `key` tells it from another of the same words. */
interface Found {
  readonly key: string;
  readonly remain: Remain;
}

const FOLDERS = ['/tmp', '/dev/shm', '/dev/mqueue'] as const;

export class Watch {
  readonly #isolation: Isolation;
  readonly #log: Log;
  readonly #folders: ReadonlyMap<string, number>;
  readonly #processes: number;
  readonly #before: ReadonlySet<string>;

  private constructor(
    isolation: Isolation,
    log: Log,
    folders: Map<string, number>,
    processes: number,
    before: Set<string>,
  ) {
    this.#isolation = isolation;
    this.#log = log;
    this.#folders = folders;
    this.#processes = processes;
    this.#before = before;
  }

  /** Remembers what is there before the command runs. */
  static async start(isolation: Isolation, log: Log): Promise<Watch> {
    const root = `/proc/${isolation.pid}/root`;
    const folders = new Map<string, number>();
    for (const folder of FOLDERS) {
      try {
        folders.set(folder, openSync(root + folder, 'r'));
      } catch {
        // This machine has no such folder, so nothing can be left there.
      }
    }
    const watch = new Watch(isolation, log, folders, openSync(`${root}/proc`, 'r'), new Set());
    const before = new Set((await watch.#all()).map(({ key }) => key));
    return new Watch(isolation, log, folders, watch.#processes, before);
  }

  /** What is there now and was not there before. */
  async remains(): Promise<Remain[]> {
    return (await this.#all()).flatMap(({ key, remain }) => (this.#before.has(key) ? [] : [remain]));
  }

  close(): void {
    for (const descriptor of [...this.#folders.values(), this.#processes]) closeSync(descriptor);
  }

  async #all(): Promise<Found[]> {
    const mounts = parseMounts(textOrNothing(`/proc/${this.#isolation.pid}/mountinfo`));
    const mountPoints = new Set(mounts.map(({ target }) => target));
    return [
      ...[...this.#folders].flatMap(([name, descriptor]) => filesIn(name, descriptor, mountPoints)),
      ...mounts.map(({ type, target, id }) => ({
        key: `mount ${id}`,
        remain: { kind: 'mount' as const, what: `${printable(type)} on ${printable(target)}` },
      })),
      ...processesIn(this.#processes),
      ...(await this.#systemV()),
    ];
  }

  /** /proc/sysvipc shows the IPC namespace of whoever opens it. */
  async #systemV(): Promise<Found[]> {
    const { pid, ownUsers } = this.#isolation;
    const users = ownUsers ? (['-U', '--preserve-credentials'] as const) : [];
    const files = ['/proc/sysvipc/shm', '/proc/sysvipc/msg', '/proc/sysvipc/sem'];
    const words: Argv = ['nsenter', '-t', String(pid), ...users, '-i', '--', 'cat', ...files];
    const cat = await spawnHost(words, this.#log, { stdio: ['ignore', 'pipe', 'ignore'] });
    return parseSystemV(await textOf(cat.child.stdout));
  }
}

function filesIn(name: string, descriptor: number, mountPoints: ReadonlySet<string>): Found[] {
  const here = `/proc/self/fd/${descriptor}`;
  return readdirSync(here).flatMap((entry) => {
    // Whoever serves a FUSE mount could keep us waiting; the mount is named as such.
    if (mountPoints.has(join(name, entry))) return [];
    try {
      const stats = lstatSync(join(here, entry));
      const size = stats.isDirectory() ? 'directory' : `${stats.size} bytes`;
      const kind = name === '/tmp' ? 'file' : 'ipc';
      const what = printable(join(name, entry));
      // Not the size: a file that was there before has changed, not been left.
      return [{ key: `${kind} ${what}`, remain: { kind, what, detail: `uid ${stats.uid}, ${size}` } }];
    } catch {
      return [];
    }
  });
}

/** Every process but pid 1 and those that are dead already, also those in pid namespaces below. */
function processesIn(descriptor: number): Found[] {
  const here = `/proc/self/fd/${descriptor}`;
  return readdirSync(here).flatMap((entry) => {
    if (!/^\d+$/.test(entry) || entry === '1') return [];
    const status = textOrNothing(join(here, entry, 'status'));
    const [, state] = /^State:\s*(\S)/m.exec(status) ?? [];
    if (state === undefined || state === 'Z' || state === 'X') return [];
    const [, name = ''] = /^Name:\s*(.*)$/m.exec(status) ?? [];
    const words = textOrNothing(join(here, entry, 'cmdline'))
      .replaceAll('\0', ' ')
      .trim();
    const what = `${entry} ${printable(words === '' ? `[${name}]` : words)}`;
    return [{ key: `process ${entry}`, remain: { kind: 'process', what } }];
  });
}

/** Reads /proc/PID/mountinfo (proc(5)). */
export function parseMounts(text: string): { id: string; target: string; type: string }[] {
  return text.split('\n').flatMap((line) => {
    const fields = line.split(' ');
    const [id, , , , target] = fields;
    const type = fields[fields.indexOf('-') + 1];
    if (id === undefined || target === undefined || type === undefined) return [];
    const unescaped = target.replace(/\\([0-7]{3})/g, (_, octal) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    return [{ id, target: unescaped, type }];
  });
}

/** Reads /proc/sysvipc/shm, msg and sem one behind the other (proc(5)): each begins with the names of its columns. */
export function parseSystemV(text: string): Found[] {
  const names: Readonly<Record<string, string>> = {
    shmid: 'shared memory segment',
    msqid: 'message queue',
    semid: 'semaphore set',
  };
  let columns: string[] = [];
  const found: Found[] = [];
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (fields[0] === 'key') columns = fields;
    else if (fields.length > 1) {
      const value = (column: string) => fields[columns.indexOf(column)];
      const size = value('size');
      const what = `${names[columns[1] ?? ''] ?? 'object'} ${fields[1]}`;
      const detail = `uid ${value('uid')}${size === undefined ? '' : `, ${size} bytes`}`;
      found.push({ key: what, remain: { kind: 'ipc', what, detail } });
    }
  }
  return found;
}

function printable(text: string): string {
  return text.replace(/[^ -~]/g, '?').slice(0, 300);
}

function textOrNothing(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
