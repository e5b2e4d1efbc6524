/** The record of a base: base.json, written last, so that its presence means that the base is whole. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CacheFolder } from './cache.ts';
import { readEntry } from './keys.ts';

export interface BaseRecord {
  /** Path of the tarball that it was first unpacked from, its size in bytes, and the SHA-256 of its content. */
  readonly tarball: string;
  readonly tarballSize: number;
  readonly sha256: string;
  /** Key of the id map whose ids own it. */
  readonly idMap: string;
  /** ISO 8601, UTC. */
  readonly unpacked: string;
  /** In which boot of the machine, see users.ts. */
  readonly boot: string;
  /** Bytes of the uncompressed archive. */
  readonly size: number;
  /** Members that could not be made: device nodes outside /dev. */
  readonly skipped: readonly string[];
}

export interface KnownBase {
  readonly key: string;
  readonly folder: string;
  readonly record: BaseRecord;
}

/** The whole bases of the cache. */
export function readBases(cache: CacheFolder): KnownBase[] {
  return readdirSync(cache.bases).flatMap((key) => {
    if (key.startsWith('.')) return [];
    const folder = join(cache.bases, key);
    const record = readRecord(folder);
    return record === undefined ? [] : [{ key, folder, record }];
  });
}

/** The record of the base in a folder; undefined when there is none. */
export function readRecord(folder: string): BaseRecord | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, 'base.json'), 'utf8'));
    return isRecord(value) ? value : undefined;
  } catch {
    // No base, or damaged.
    return undefined;
  }
}

function isRecord(value: unknown): value is BaseRecord {
  if (typeof value !== 'object' || value === null) return false;
  const has = (names: readonly string[], type: string) =>
    names.every((name) => typeof Reflect.get(value, name) === type);
  return (
    has(['tarball', 'sha256', 'idMap', 'unpacked', 'boot'], 'string') &&
    has(['tarballSize', 'size'], 'number') &&
    Array.isArray(Reflect.get(value, 'skipped'))
  );
}

/** Is there anything that a crash may have left? One look at a folder. */
export function hasLeftovers(cache: CacheFolder): boolean {
  return readdirSync(cache.bases).some((name) => readEntry(name).kind !== 'base');
}
