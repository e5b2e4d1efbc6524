import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CacheFolder } from './cache.ts';
import { readEntry } from './keys.ts';

export interface BaseRecord {
  readonly tarball: string;
  readonly tarballSize: number;
  readonly sha256: string;
  readonly idMap: string;
  readonly unpacked: string;
  readonly boot: string;
  readonly size: number;
  readonly skipped: readonly string[];
}

export interface KnownBase {
  readonly key: string;
  readonly folder: string;
  readonly record: BaseRecord;
}

export function readBases(cache: CacheFolder): KnownBase[] {
  return readdirSync(cache.bases).flatMap((key) => {
    if (key.startsWith('.')) return [];
    const folder = join(cache.bases, key);
    const record = readRecord(folder);
    return record === undefined ? [] : [{ key, folder, record }];
  });
}

export function readRecord(folder: string): BaseRecord | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, 'base.json'), 'utf8'));
    return isRecord(value) ? value : undefined;
  } catch {
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

export function hasLeftovers(cache: CacheFolder): boolean {
  return readdirSync(cache.bases).some((name) => readEntry(name).kind !== 'base');
}
