/** The hash of a tarball's content, remembered with the result of stat(2), so that an unchanged file is not read again. */
import { type BigIntStats, fstatSync, read, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CacheFolder, writeWhole } from './cache.ts';
import { HASH_LENGTH } from './keys.ts';

export interface FileState {
  readonly dev: string;
  readonly ino: string;
  readonly size: string;
  readonly mtime: string;
  readonly ctime: string;
}

interface TarballRecord extends FileState {
  readonly path: string;
  readonly sha256: string;
}

/** File times come from a clock with ticks of 1 to 10 ms: within a tick a change leaves no trace. Nanoseconds. */
const TICK = 50_000_000n;

export function stateOf(stats: BigIntStats): FileState {
  return {
    dev: String(stats.dev),
    ino: String(stats.ino),
    size: String(stats.size),
    mtime: String(stats.mtimeNs),
    ctime: String(stats.ctimeNs),
  };
}

export function sameState(a: FileState, b: FileState): boolean {
  return (
    a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtime === b.mtime && a.ctime === b.ctime
  );
}

/** A state that every later change of the file replaces; waits for the next tick where the file was just changed. */
export async function settledState(fd: number): Promise<FileState> {
  const state = stateOf(fstatSync(fd, { bigint: true }));
  if (!isFresh(state, Date.now())) return state;
  await new Promise((resolve) => setTimeout(resolve, Number(TICK / 1_000_000n)));
  return stateOf(fstatSync(fd, { bigint: true }));
}

/** Whether a file in this state, first read at `now` (milliseconds since 1970), may still change without a trace. */
export function isFresh(state: FileState, now: number): boolean {
  return BigInt(now) * 1_000_000n - BigInt(state.ctime) < TICK;
}

// Loaded when needed. jest refuses import() of a CommonJS module.
const crypto = () => process.getBuiltinModule('node:crypto');

/** A file name for a text (FNV-1a), without node:crypto. It is not unique, so the file names its text. */
export function shortHash(text: string): string {
  const bytes = Buffer.from(text);
  const hash = (begin: number): string =>
    bytes
      .reduce((value, byte) => Math.imul(value ^ byte, 0x01000193) >>> 0, begin)
      .toString(16)
      .padStart(8, '0');
  return [0x811c9dc5, 0x050c5d1f, 0x1f0a3b2d, 0x6b43a9b5].map(hash).join('').slice(0, HASH_LENGTH);
}

function recordPath(cache: CacheFolder, path: string): string {
  return join(cache.tarballs, `${shortHash(path)}.json`);
}

export async function rememberedHash(
  cache: CacheFolder,
  path: string,
  state: FileState,
): Promise<string | undefined> {
  try {
    const record: unknown = JSON.parse(readFileSync(recordPath(cache, path), 'utf8'));
    return isRecord(record) && record.path === path && sameState(record, state) ? record.sha256 : undefined;
  } catch {
    return undefined;
  }
}

export async function rememberHash(
  cache: CacheFolder,
  path: string,
  state: FileState,
  sha256: string,
): Promise<void> {
  const record: TarballRecord = { path, ...state, sha256 };
  try {
    writeWhole(recordPath(cache, path), `${JSON.stringify(record)}\n`);
  } catch {}
}

/** Reads by position, so that a process that shares the descriptor is not disturbed. @throws the reason of the signal */
export async function hashOf(fd: number, signal?: AbortSignal): Promise<string> {
  const { createHash } = crypto();
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(1 << 20);
  for (let position = 0; ; ) {
    signal?.throwIfAborted();
    const length = await readAt(fd, buffer, position);
    if (length === 0) return hash.digest('hex');
    hash.update(buffer.subarray(0, length));
    position += length;
  }
}

/** Not by a stream, which closes the descriptor when it is aborted. */
function readAt(fd: number, buffer: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, 0, buffer.length, position, (error, length) =>
      error === null ? resolve(length) : reject(error),
    );
  });
}

function hasStrings<Name extends string>(
  value: unknown,
  names: readonly Name[],
): value is Record<Name, string> {
  return (
    typeof value === 'object' &&
    value !== null &&
    names.every((name) => typeof Reflect.get(value, name) === 'string')
  );
}

function isRecord(value: unknown): value is TarballRecord {
  return hasStrings(value, ['path', 'dev', 'ino', 'size', 'mtime', 'ctime', 'sha256']);
}
