import { TestbedError } from '../errors.ts';
import { failureText, type HelperEvent, helperWords, isFailure, parseEvents } from '../helper.ts';
import { spawnHost, textOf } from '../host.ts';
import type { Log } from '../log.ts';
import type { FileLeak, IpcLeak } from './leak.ts';
import { printable } from './text.ts';

export interface HeldDirectory {
  readonly path: string;
  readonly descriptor: number;
}

export interface Place {
  readonly pid: number;
  /** Host pid of a process whose user and mount namespaces have the layers. Default: pid 1 itself. */
  readonly holder?: number;
  readonly layers: readonly string[];
  /** Directories of which only the entries are listed. Default: all below the directories for temporary files. */
  readonly held?: readonly HeldDirectory[];
}

export interface Found {
  readonly files: readonly FileLeak[];
  readonly ipc: readonly IpcLeak[];
}

/** 128 + SIGALRM, which the helper sets itself. */
const TOO_LONG = 142;

/** @throws TestbedError when the place has ended, or its files cannot be listed in 30 s */
export async function look({ pid, holder, layers, held = [] }: Place, log: Log): Promise<Found> {
  const words = helperWords(
    'look',
    ...(holder === undefined ? [] : ['-h', String(holder)]),
    ...held.flatMap(({ path }, index) => ['-d', `${index + 3}:${path}`]),
    ...[String(pid), ...layers],
  );
  const started = await spawnHost(words, log, {
    stdio: ['ignore', 'pipe', 2, ...held.map(({ descriptor }) => descriptor)],
  });
  const [text, { status }] = await Promise.all([textOf(started.child.stdout, 'latin1'), started.exited]);
  const events = parseEvents(text);
  if (status !== 0) throw failure(events, status);
  return { files: newFiles(events), ipc: events.flatMap(ipcLeak) };
}

function failure(events: readonly HelperEvent[], status: number): TestbedError {
  const failed = events.find(isFailure);
  const what = 'looking for what was left behind failed';
  if (failed !== undefined) return new TestbedError(`${what}: ${failureText(failed)}`, { code: failed.code });
  if (status === TOO_LONG) return new TestbedError(`${what}: it took longer than 30 s`, { code: 'TOO_LONG' });
  return new TestbedError(`${what}: the helper ended with status ${status}`, { code: 'HELPER_ENDED' });
}

export function newFiles(events: readonly HelperEvent[]): FileLeak[] {
  const files = events.filter(({ event }) => event === 'file');
  const before = new Map<unknown, HelperEvent>();
  for (const file of files) if (file.in !== 0 && !before.has(file.path)) before.set(file.path, file);
  const found = new Map<string, FileLeak>();
  for (const file of files) {
    if (file.in !== 0 || isSame(file, before.get(file.path))) continue;
    const { type, path } = file;
    if (!isFileType(type)) continue;
    const leak = { path: printableName(path), type, uid: Number(file.uid), gid: Number(file.gid) };
    // A directory that is no mount point any more is listed twice.
    found.set(leak.path, { kind: 'file', ...leak, size: Number(file.size) });
  }
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

function isSame(now: HelperEvent, old: HelperEvent | undefined): boolean {
  if (old === undefined || old.type !== now.type) return false;
  return now.type === 'directory' || (old.size === now.size && old.modified === now.modified);
}

function ipcLeak({ event, type, id, uid, size }: HelperEvent): IpcLeak[] {
  if (event !== 'ipc' || !isIpcType(type)) return [];
  return [{ kind: 'ipc', type, id: printableName(id), uid: Number(uid), size: Number(size) }];
}

function printableName(text: unknown): string {
  return printable(Buffer.from(String(text), 'latin1'));
}

const isFileType = isOneOf(['file', 'directory', 'link', 'socket', 'fifo', 'device'] as const);
const isIpcType = isOneOf(['shm', 'sem', 'msg', 'mqueue'] as const);

function isOneOf<T>(values: readonly T[]): (value: unknown) => value is T {
  const all = new Set<unknown>(values);
  return (value): value is T => all.has(value);
}
