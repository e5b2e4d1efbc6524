/**
 * Checks the entries of an archive from a testbed, which are hostile until they have passed. A path consists of plain names
 * only, and the directory of an entry must have come before it as a directory, so that no entry is written through a link.
 */
import { CopyError } from '../errors.ts';
import { type ByteString, shown } from './bytes.ts';
import { tooManyBytes } from './failures.ts';
import type { TarEntry, TarKind } from './tar-entry.ts';

const LONGEST_PATH = 3900;
const LONGEST_NAME = 255;
/** Most bytes of all paths together, which are kept in memory. */
const ALL_PATHS = 256 * 2 ** 20;
const SETUID_SETGID = 0o6000;

export interface Limits {
  /** Most bytes of all files together; holes count. Default: 64 GiB. */
  readonly maxBytes?: number | undefined;
  /** Default: one million. */
  readonly maxEntries?: number | undefined;
}

export const DEFAULT_MAX_BYTES = 64 * 2 ** 30;
const DEFAULT_MAX_ENTRIES = 1_000_000;
const PIECES = 'copy the directory in pieces';

export class EntryChecker {
  readonly #maxBytes: number;
  readonly #maxEntries: number;
  readonly #kinds = new Map<ByteString, TarKind>();
  readonly #warn: (what: string) => void;
  #bytes = 0;
  #pathBytes = 0;
  #warnedOfAccessLists = false;

  constructor(limits: Limits, warn: (what: string) => void) {
    this.#maxBytes = limits.maxBytes ?? DEFAULT_MAX_BYTES;
    this.#maxEntries = limits.maxEntries ?? DEFAULT_MAX_ENTRIES;
    this.#warn = warn;
  }

  get hasTop(): boolean {
    return this.#kinds.has('.');
  }

  /** Gives the entry with a clean path: `.` for the top directory, else `a/b`. @throws CopyError that names the entry */
  check(entry: TarEntry): TarEntry {
    const path = cleanPath(entry.path, (why) => refuse(entry, why));
    this.#checkPlace(path, entry);
    switch (entry.kind) {
      case 'file':
        if ((entry.mode & SETUID_SETGID) !== 0) refuse(entry, 'it has a setuid or setgid bit');
        break;
      case 'directory':
        // Setgid of a directory gives no rights: files made in it get the group of its owner, the caller.
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
    this.#count(path, entry);
    this.#kinds.set(path, entry.kind);
    const attributes = this.#attributes(entry);
    const link = entry.kind === 'hard link' ? cleanPath(entry.link, (why) => refuse(entry, why)) : entry.link;
    return { ...entry, path, link, attributes };
  }

  #checkPlace(path: ByteString, entry: TarEntry): void {
    if (this.#kinds.has(path)) refuse(entry, 'it comes twice');
    if (path === '.') {
      if (entry.kind !== 'directory')
        refuse(entry, 'it has the name of the top directory and is not a directory');
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

  #count(path: ByteString, entry: TarEntry): void {
    if (this.#kinds.size >= this.#maxEntries) {
      throw new CopyError(
        `more than ${this.#maxEntries} files come from the testbed (${shown(path)} is the first too many)`,
        { code: 'TOO_MANY_FILES', remedy: PIECES },
      );
    }
    this.#pathBytes += path.length;
    if (this.#pathBytes > ALL_PATHS) {
      throw new CopyError(
        `the paths of the files from the testbed have more than ${ALL_PATHS} bytes together (${shown(path)} is the first too many)`,
        { code: 'TOO_LONG_PATHS', remedy: PIECES },
      );
    }
    this.#bytes += entry.sparse?.size ?? entry.size;
    if (this.#bytes > this.#maxBytes) throw tooManyBytes(this.#maxBytes);
  }

  /** Only the attributes of the name space `user` mean the same on both sides. */
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

  #warnOfAccessList(entry: TarEntry): void {
    if (this.#warnedOfAccessLists) return;
    this.#warnedOfAccessLists = true;
    this.#warn(
      `access lists (ACL) name users of the testbed and are not copied up, the first that of ${shown(entry.path)}`,
    );
  }
}

function refuse(entry: TarEntry, why: string): never {
  throw new CopyError(`${shown(entry.path)} from the testbed is refused: ${why}`, { code: 'ENTRY_REFUSED' });
}

function cleanPath(path: ByteString, fail: (why: string) => never): ByteString {
  if (path.startsWith('/')) fail('its name is absolute');
  const plain = path.startsWith('./') ? path.slice(2) : path;
  if (plain.length <= LONGEST_NAME && !/(^|\/)\.{0,2}(\/|$)/.test(plain)) return plain;
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  if (names.includes('..')) fail('its name leads upwards (..)');
  if (names.some((name) => name.length > LONGEST_NAME)) fail(`a name has more than ${LONGEST_NAME} bytes`);
  const clean = names.join('/');
  if (clean.length > LONGEST_PATH) fail(`its path has more than ${LONGEST_PATH} bytes`);
  return clean === '' ? '.' : clean;
}
