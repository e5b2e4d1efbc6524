import { readdirSync, readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import { join } from 'node:path';
import { ownIdentity } from '../processes/identity.ts';
import { notThere } from '../processes/stat.ts';
import type { CacheFolder } from './cache.ts';
import { readEntry } from './keys.ts';

interface TreeRecord {
  readonly idMap: string;
  /** When the tree was complete. */
  readonly unpacked: string;
  readonly boot: string;
  /** Seconds since this boot, by a clock that is never set. Records of earlier versions lack it. */
  readonly uptime?: number;
  readonly size: number;
}

/** For the record of a tree that is complete now. */
export function madeNow(): Pick<TreeRecord, 'unpacked' | 'boot' | 'uptime'> {
  return { unpacked: new Date().toISOString(), boot: ownIdentity().boot, uptime: Math.floor(uptime()) };
}

export interface BaseRecord extends TreeRecord {
  readonly tarball: string;
  readonly tarballSize: number;
  readonly sha256: string;
  readonly skipped: readonly string[];
}

/** A committed upper layer. */
export interface LayerRecord extends TreeRecord {
  /** Key of the layer or base that it lies over. */
  readonly parent: string;
}

/** Packages of apt, see packages.ts. */
export interface PackagesRecord extends TreeRecord {
  readonly packages: number;
}

/** What apt computed of the package lists of a root filesystem, see apt-caches.ts. */
export interface AptCachesRecord extends TreeRecord {
  /** Key of the topmost layer, or of the base. */
  readonly aptCachesOf: string;
  readonly files: number;
}

type TreeKind = BaseRecord | LayerRecord | PackagesRecord | AptCachesRecord;

export interface KnownAptCaches {
  readonly key: string;
  readonly record: AptCachesRecord;
}

export interface KnownPackages {
  readonly key: string;
  readonly folder: string;
  readonly record: PackagesRecord;
}

export interface KnownBase {
  readonly key: string;
  readonly folder: string;
  readonly record: BaseRecord;
}

export interface KnownLayer {
  readonly key: string;
  readonly folder: string;
  readonly record: LayerRecord;
}

export function readBases(cache: CacheFolder): KnownBase[] {
  return readTrees(cache).flatMap(({ record, ...tree }) => (isBase(record) ? [{ ...tree, record }] : []));
}

export function readLayers(cache: CacheFolder): KnownLayer[] {
  return readTrees(cache).flatMap(({ record, ...tree }) => (isLayer(record) ? [{ ...tree, record }] : []));
}

/** Those of an id map, the newest one first. */
export function readPackages(cache: CacheFolder, idMap: string): KnownPackages[] {
  return readTrees(cache)
    .flatMap(({ record, ...tree }) =>
      'packages' in record && record.idMap === idMap ? [{ ...tree, record }] : [],
    )
    .sort((a, b) => (a.record.unpacked < b.record.unpacked ? 1 : -1));
}

export function readAptCaches(cache: CacheFolder): KnownAptCaches[] {
  return readTrees(cache).flatMap(({ key, record }) => ('aptCachesOf' in record ? [{ key, record }] : []));
}

function readTrees(cache: CacheFolder): (Omit<KnownBase, 'record'> & { record: TreeKind })[] {
  return readdirSync(cache.bases).flatMap((key) => {
    if (key.startsWith('.')) return [];
    const folder = join(cache.bases, key);
    const record = readRecord(folder);
    return record === undefined ? [] : [{ key, folder, record }];
  });
}

/** Undefined when it is missing or damaged. @throws TestbedError when this process cannot read it now */
export function readRecord(folder: string): TreeKind | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, 'base.json'), 'utf8'));
    return isRecord(value) ? value : undefined;
  } catch (error) {
    // Otherwise prune would remove a whole tree because no descriptor was left.
    return notThere(error);
  }
}

export function isBase(record: TreeKind): record is BaseRecord {
  return 'tarball' in record;
}

export function isLayer(record: TreeKind): record is LayerRecord {
  return 'parent' in record;
}

function isRecord(value: unknown): value is TreeKind {
  if (typeof value !== 'object' || value === null) return false;
  const has = (names: readonly string[], type: string) =>
    names.every((name) => typeof Reflect.get(value, name) === type);
  if (!has(['idMap', 'unpacked', 'boot'], 'string') || !has(['size'], 'number')) return false;
  if (has(['parent'], 'string') || has(['packages'], 'number')) return true;
  if (has(['aptCachesOf'], 'string') && has(['files'], 'number')) return true;
  return (
    has(['tarball', 'sha256'], 'string') &&
    has(['tarballSize'], 'number') &&
    Array.isArray(Reflect.get(value, 'skipped'))
  );
}

export function hasLeftovers(cache: CacheFolder): boolean {
  return readdirSync(cache.bases).some((name) => readEntry(name).kind !== 'base');
}
