/** Leaks as text: what the host's tools list, and what a report says. Pure. */
import type { FileLeak, InterfaceLeak, IpcLeak, Leak, MountLeak, ProcessLeak } from './leak.ts';

/** As leaks.sh lists it; the path has a prefix, and its characters are bytes. */
export interface FileEntry {
  readonly path: string;
  readonly type: FileLeak['type'];
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Seconds since 1970, with a fraction. */
  readonly modified: string;
}

const TYPES: Readonly<Record<string, FileLeak['type']>> = {
  f: 'file',
  d: 'directory',
  l: 'link',
  s: 'socket',
  p: 'fifo',
  b: 'device',
  c: 'device',
};

/** Reads the output of leaks.sh, its bytes as characters; `reader` is a host pid. A file listing that was cut short loses its last entry. */
export function parseListing(text: string): { files: FileEntry[]; reader: number; ipc: IpcLeak[] } {
  const fields = text.split('\0');
  // A path is absolute, so no name can be this.
  const end = fields.indexOf('--');
  const files: FileEntry[] = [];
  for (let i = 0; i + 5 < end; i += 6) {
    const [path = '', type = '', uid, gid, size, modified = ''] = fields.slice(i, i + 6);
    files.push({
      path,
      type: TYPES[type] ?? 'file',
      uid: Number(uid),
      gid: Number(gid),
      size: Number(size),
      modified,
    });
  }
  const [reader, , shm = '', , sem = '', , msg = '', ...queues] = fields.slice(end + 1);
  const ipc: IpcLeak[] = [
    ...parseTable(shm, 'shm', 'shmid', 'size'),
    ...parseTable(sem, 'sem', 'semid', 'nsems'),
    ...parseTable(msg, 'msg', 'msqid', 'cbytes'),
  ];
  for (let i = 0; i + 2 < queues.length; i += 3) {
    const [name = '', uid, state = ''] = queues.slice(i, i + 3);
    const size = Number(/QSIZE:(\d+)/.exec(state)?.[1] ?? 0);
    const id = `/${printable(Buffer.from(name, 'latin1'))}`;
    ipc.push({ kind: 'ipc', type: 'mqueue', id, uid: Number(uid), size });
  }
  return { files, reader: Number(reader), ipc };
}

/** The tables of /proc/sysvipc: a line of headings, then numbers. */
export function parseTable(text: string, type: IpcLeak['type'], id: string, size: string): IpcLeak[] {
  const [heading = [], ...rows] = text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
  const cell = (row: string[], name: string) => row[heading.indexOf(name)] ?? '';
  return rows.map((row) => ({
    kind: 'ipc',
    type,
    id: cell(row, id),
    uid: Number(cell(row, 'uid')),
    size: Number(cell(row, size)),
  }));
}

/** Reads the lines of drain.sh. */
export function parseEnded(text: string): ProcessLeak[] {
  return text.split('\n').flatMap((line): ProcessLeak[] => {
    const [, pid, uid, digits = ''] = /^(\d+) (\d+) ([\da-f ]+)$/.exec(line) ?? [];
    if (pid === undefined) return [];
    const command = commandText(Buffer.from(digits.replaceAll(' ', ''), 'hex').toString('latin1'));
    return [{ kind: 'process', pid: Number(pid), uid: Number(uid), command, ended: true }];
  });
}

/** Of /proc/PID/cmdline, its bytes as characters; empty where there are no arguments. */
export function commandText(text: string): string {
  const words = text.replace(/\0+$/, '').replaceAll('\0', ' ');
  return printable(Buffer.from(words, 'latin1'));
}

/** The mounts of the second /proc/PID/mountinfo that the first does not have. */
export function newMounts(before: string, now: string): MountLeak[] {
  const known = new Set(parseMounts(before).map(({ identity }) => identity));
  return parseMounts(now).flatMap(({ identity, leak }) => (known.has(identity) ? [] : [leak]));
}

function parseMounts(text: string): { identity: string; leak: MountLeak }[] {
  return text.split('\n').flatMap((line) => {
    // Before the hyphen are optional fields, which change with what others mount.
    const [front = '', back = ''] = line.split(' - ');
    const [id, parent, device, root, point = ''] = front.split(' ');
    const [type = '', source = ''] = back.split(' ');
    if (type === '') return [];
    const leak: MountLeak = {
      kind: 'mount',
      path: printable(unescapeMount(point)),
      type: printable(Buffer.from(type, 'latin1')),
      source: printable(unescapeMount(source)),
    };
    return [{ identity: [id, parent, device, root, point, type, source].join(' '), leak }];
  });
}

/** The interfaces of the second /proc/PID/net/dev that the first does not have. */
export function newInterfaces(before: string, now: string): InterfaceLeak[] {
  const names = (text: string) => text.split('\n').flatMap((line) => /^\s*([^\s:]+):/.exec(line)?.[1] ?? []);
  const known = new Set(names(before));
  return names(now).flatMap((name) =>
    known.has(name) ? [] : [{ kind: 'interface', name: printable(Buffer.from(name, 'latin1')) }],
  );
}

/** proc_pid_mountinfo(5): white space and backslash are octal escapes. */
export function unescapeMount(text: string): Buffer {
  const bytes = text.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return Buffer.from(bytes, 'latin1');
}

/** A name of the testbed's, safe to print: what could steer a terminal, `%` and what is not UTF-8 is percent-encoded. */
export function printable(bytes: Buffer): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.replace(/[%\p{C}\p{Zl}\p{Zp}]/gu, (char) => encodeURIComponent(char));
  } catch {
    return bytes
      .toString('latin1')
      .replace(/[^ -$&-~]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
  }
}

/** What had ended when it was left. */
export type LeakMoment = 'command' | 'revert' | 'close';

/**
 * One leak as one line, without newline. `json`: an object with all that Leak has, and `at`. `text`:
 * `left at AT: KIND NAME=VALUE ...`, values percent-encoded so that each is one word of ASCII.
 */
export function leakLine(leak: Leak, at: LeakMoment, format: 'text' | 'json'): string {
  if (format === 'json') return JSON.stringify({ at, ...leak });
  const { kind, ...rest } = leak;
  const words = Object.entries(rest).map(([name, value]) => `${name}=${asWord(String(value))}`);
  return [`left at ${at}: ${kind}`, ...words].join(' ');
}

/** The last line of a report that would be too long. */
export function tooManyLine(count: number, at: LeakMoment, format: 'text' | 'json'): string {
  return format === 'json'
    ? JSON.stringify({ at, kind: 'more', count })
    : `left at ${at}: more count=${count}`;
}

function asWord(text: string): string {
  return text.replace(/[^!-~]/gu, (char) => encodeURIComponent(char));
}

/** What is there now and was not before. A file that has grown is no new one. */
export function newLeaks(before: readonly Leak[], now: readonly Leak[]): Leak[] {
  const identity = (leak: Leak) => JSON.stringify({ ...leak, size: 0 });
  const known = new Set(before.map(identity));
  return now.filter((leak) => !known.has(identity(leak)));
}
