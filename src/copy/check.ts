/**
 * What may come up from a testbed. Every entry is hostile until it passed here: see `EntryChecker`.
 * Two ideas make the rest simple: a path is taken apart and put together again, so that only plain names are left; and the
 * directory of an entry must itself have come before, as a directory, so that no entry is ever written through a link.
 */
import { CopyError } from '../errors.ts';
import { type ByteString, shown } from './bytes.ts';
import type { TarEntry, TarKind } from './tar-entry.ts';

/** Longest path in bytes: with what is put in front of it, it stays below the kernel's PATH_MAX of 4096. */
const LONGEST_PATH = 3900;
const LONGEST_NAME = 255;
const SETUID_SETGID = 0o6000;

export interface Limits {
  /** Most bytes of content, of all files together. Default 64 GiB. */
  readonly maxBytes?: number | undefined;
  /** Most files, directories and links together. Default one million. */
  readonly maxEntries?: number | undefined;
}

export const DEFAULT_MAX_BYTES = 64 * 2 ** 30;
export const DEFAULT_MAX_ENTRIES = 1_000_000;

export function tooManyBytes(maxBytes: number): CopyError {
  return new CopyError(`more than ${maxBytes} bytes come from the testbed; --max-copy sets the limit`);
}

export class EntryChecker {
  readonly #maxBytes: number;
  readonly #maxEntries: number;
  readonly #kinds = new Map<ByteString, TarKind>();
  readonly #warn: (what: string) => void;
  #bytes = 0;
  #warnedOfAccessLists = false;

  /** @param warn is told what is left behind without failing the copy */
  constructor(limits: Limits, warn: (what: string) => void) {
    this.#maxBytes = limits.maxBytes ?? DEFAULT_MAX_BYTES;
    this.#maxEntries = limits.maxEntries ?? DEFAULT_MAX_ENTRIES;
    this.#warn = warn;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get entries(): number {
    return this.#kinds.size;
  }

  /** Whether the top directory itself has come. */
  get hasTop(): boolean {
    return this.#kinds.has('.');
  }

  /**
   * Gives the entry with a clean path (`.` for the top directory, else `a/b`).
   * @throws CopyError with the entry's name when it is refused
   */
  check(entry: TarEntry): TarEntry {
    const path = cleanPath(entry.path, (why) => refuse(entry, why));
    this.#checkPlace(path, entry);
    switch (entry.kind) {
      case 'file':
        if ((entry.mode & SETUID_SETGID) !== 0) refuse(entry, 'it has a setuid or setgid bit');
        break;
      case 'directory':
        // Setgid of a directory gives no right to anybody: what is made in it belongs to the group of its owner, the caller.
        break;
      case 'symbolic link':
        if (entry.link === '' || entry.link.length > 4095)
          refuse(entry, 'it is a symbolic link without a usable target');
        break;
      case 'hard link':
        this.#checkHardLink(entry);
        break;
      default:
        refuse(entry, `it is ${entry.kind === 'unknown' ? 'of an unknown kind' : `a ${entry.kind}`}`);
    }
    if (entry.kind !== 'file' && entry.size > 0) refuse(entry, 'it claims to have content and is not a file');
    this.#count(entry);
    this.#kinds.set(path, entry.kind);
    const attributes = this.#attributes(entry);
    const link = entry.kind === 'hard link' ? cleanPath(entry.link, (why) => refuse(entry, why)) : entry.link;
    return { ...entry, path, link, attributes };
  }

  #checkPlace(path: ByteString, entry: TarEntry): void {
    if (this.#kinds.has(path)) refuse(entry, 'it comes twice');
    if (path === '.') {
      if (entry.kind !== 'directory') refuse(entry, 'it stands for the top directory and is none');
      return;
    }
    const slash = path.lastIndexOf('/');
    const parent = slash === -1 ? '.' : path.slice(0, slash);
    const kind = this.#kinds.get(parent);
    if (kind === undefined) refuse(entry, 'its directory did not come before it');
    if (kind !== 'directory') refuse(entry, `it would be written through a ${kind}`);
  }

  #checkHardLink(entry: TarEntry): void {
    const target = cleanPath(entry.link, () =>
      refuse(entry, `it is a hard link to ${shown(entry.link)}, outside of the copy`),
    );
    const kind = this.#kinds.get(target);
    if (kind === undefined)
      refuse(entry, `it is a hard link to ${shown(target)}, which did not come before it`);
    if (kind === 'directory') refuse(entry, `it is a hard link to the directory ${shown(target)}`);
  }

  #count(entry: TarEntry): void {
    if (this.#kinds.size >= this.#maxEntries) {
      throw new CopyError(
        `more than ${this.#maxEntries} files come from the testbed (${shown(entry.path)} is one too many)`,
      );
    }
    this.#bytes += entry.size;
    if (this.#bytes > this.#maxBytes) throw tooManyBytes(this.#maxBytes);
  }

  /** Of the attributes only those of the name space `user` mean the same on both sides. */
  #attributes(entry: TarEntry): TarEntry['attributes'] {
    if (entry.attributes.size === 0) return entry.attributes;
    const kept = new Map<ByteString, ByteString>();
    for (const [key, value] of entry.attributes) {
      if (key.startsWith('SCHILY.xattr.user.')) kept.set(key, value);
      else if (key.startsWith('SCHILY.xattr.security.capability')) refuse(entry, 'it has file capabilities');
      else if (/^SCHILY\.(acl\.|xattr\.system\.posix_acl_)/.test(key)) this.#warnOfAccessList(entry);
      else if (
        !/^(SCHILY\.xattr\.security\.(selinux|ima|evm|SMACK64\w*|apparmor)|RHT\.security\.selinux)$/.test(key)
      ) {
        refuse(
          entry,
          `its extended attribute ${shown(key.replace(/^\w+\.xattr\./, ''))} has no meaning here`,
        );
      }
    }
    return kept;
  }

  /** An access list names users of the testbed; like the owner it stays behind, but that is said. */
  #warnOfAccessList(entry: TarEntry): void {
    if (this.#warnedOfAccessLists) return;
    this.#warnedOfAccessLists = true;
    this.#warn(
      `access lists (ACL) name users of the testbed and are not copied up, the first that of ${shown(entry.path)}`,
    );
  }
}

function refuse(entry: TarEntry, why: string): never {
  throw new CopyError(`${shown(entry.path)} from the testbed is refused: ${why}`);
}

/** Without `.` and empty names; `.` for the top. */
function cleanPath(path: ByteString, fail: (why: string) => never): ByteString {
  if (path.startsWith('/')) fail('its name is absolute');
  // What honest tars write: a ./ in front, and then plain names only.
  const plain = path.startsWith('./') ? path.slice(2) : path;
  if (plain.length <= LONGEST_NAME && !/(^|\/)\.{0,2}(\/|$)/.test(plain)) return plain;
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  if (names.includes('..')) fail('its name leads upwards (..)');
  if (names.some((name) => name.length > LONGEST_NAME)) fail(`a name has more than ${LONGEST_NAME} bytes`);
  const clean = names.join('/');
  if (clean.length > LONGEST_PATH) fail(`its path has more than ${LONGEST_PATH} bytes`);
  return clean === '' ? '.' : clean;
}
