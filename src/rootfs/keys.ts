import { uniqueDigits } from '../random.ts';

export const HASH_LENGTH = 32;

const NEW = '.new-';
const OLD = '.old-';

export function baseKey(sha256: string, idMap: string): string {
  return `${sha256.slice(0, HASH_LENGTH)}-${idMap}`;
}

/** By a hash that names the tarball as a file, because its content is not known yet. */
export function unpackingName(idMap: string, fileHash: string): string {
  return `${idMap}-${fileHash}`;
}

export function newName(unpacking: string): string {
  return `${NEW}${unpacking}`;
}

export function oldName(key: string): string {
  return `${OLD}${key}.${process.pid}.${uniqueDigits()}`;
}

type CacheEntry =
  | { readonly kind: 'new'; readonly idMap: string; readonly unpacking: string }
  | { readonly kind: 'old'; readonly idMap: string }
  | { readonly kind: 'base' };

export function readEntry(name: string): CacheEntry {
  if (name.startsWith(NEW)) {
    const unpacking = name.slice(NEW.length);
    return { kind: 'new', idMap: unpacking.slice(0, -HASH_LENGTH - 1), unpacking };
  }
  if (name.startsWith(OLD)) {
    return { kind: 'old', idMap: name.slice(OLD.length + HASH_LENGTH + 1).replace(/(\.\d+)+$/, '') };
  }
  return { kind: 'base' };
}
