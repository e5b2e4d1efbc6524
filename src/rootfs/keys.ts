/** Names of what lies in the cache's `bases`, see cache.ts. */

/** Length of the part of a SHA-256 that names are made of. */
export const HASH_LENGTH = 32;

const NEW = '.new-';
const OLD = '.old-';

/** A base: its content and the key of the id map whose ids own it. */
export function baseKey(sha256: string, idMap: string): string {
  return `${sha256.slice(0, HASH_LENGTH)}-${idMap}`;
}

/** An unpacking: the id map, and a hash that names the tarball as a file, for its content is not known yet. */
export function unpackingName(idMap: string, fileHash: string): string {
  return `${idMap}-${fileHash}`;
}

/** The folder in which an unpacking works. */
export function newName(unpacking: string): string {
  return `${NEW}${unpacking}`;
}

let removed = 0;

/** A new name for a base that this process removes. */
export function oldName(key: string): string {
  removed += 1;
  return `${OLD}${key}.${process.pid}.${removed}`;
}

export type CacheEntry =
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
