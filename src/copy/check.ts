/**
 * Checks the entries of an archive from a testbed, which are hostile until they have passed. A path consists of plain names
 * only, and the directory of an entry must have come before it as a directory, so that no entry is written through a link.
 */

import { type ByteString, shown } from '../archive/bytes.ts';
import { cleanPath, parentOf } from '../archive/paths.ts';
import type { TarEntry, TarKind } from '../archive/tar-entry.ts';
import { CopyError } from '../errors.ts';
import { type Limits, Tally } from './tally.ts';

/** Attributes of security modules, which mean nothing on the other side. */
export const SECURITY_LABEL =
  /^(SCHILY\.xattr\.security\.(selinux|ima|evm|SMACK64\w*|apparmor)|RHT\.security\.selinux)$/;
const SETUID_SETGID = 0o6000;

const PIECES = 'copy the directory in pieces';

export class EntryChecker {
  readonly #tally: Tally;
  readonly #kinds = new Map<ByteString, TarKind>();
  readonly #warn: (what: string) => void;
  #warnedOfAccessLists = false;

  constructor(limits: Limits, warn: (what: string) => void) {
    this.#tally = new Tally(limits, 'the testbed', PIECES);
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
    if (entry.kind !== 'file' && entry.size > 0) refuse(entry, 'it has content, but is not a file');
    this.#tally.add(path, entry);
    this.#kinds.set(path, entry.kind);
    const attributes = this.#attributes(entry);
    const link = entry.kind === 'hard link' ? cleanPath(entry.link, (why) => refuse(entry, why)) : entry.link;
    return { ...entry, path, link, attributes };
  }

  #checkPlace(path: ByteString, entry: TarEntry): void {
    if (this.#kinds.has(path)) refuse(entry, 'it is in the archive twice');
    if (path === '.') {
      if (entry.kind !== 'directory')
        refuse(entry, 'it has the name of the top directory and is not a directory');
      return;
    }
    const kind = this.#kinds.get(parentOf(path));
    if (kind === undefined) refuse(entry, 'its directory is not in the archive before it');
    if (kind !== 'directory') refuse(entry, `it would be written through a ${kind}`);
  }

  #checkHardLink(entry: TarEntry): void {
    const target = cleanPath(entry.link, () =>
      refuse(entry, `it is a hard link to ${shown(entry.link)}, outside of the copy`),
    );
    const kind = this.#kinds.get(target);
    if (kind === undefined)
      refuse(entry, `it is a hard link to ${shown(target)}, which is not in the archive before it`);
    if (kind === 'directory') refuse(entry, `it is a hard link to the directory ${shown(target)}`);
  }

  /** Only the attributes of the name space `user` mean the same on both sides. */
  #attributes(entry: TarEntry): TarEntry['attributes'] {
    if (entry.attributes.size === 0) return entry.attributes;
    const kept = new Map<ByteString, ByteString>();
    for (const [key, value] of entry.attributes) {
      if (key.startsWith('SCHILY.xattr.user.')) kept.set(key, value);
      else if (key.startsWith('SCHILY.xattr.security.capability')) refuse(entry, 'it has file capabilities');
      else if (/^SCHILY\.(acl\.|xattr\.system\.posix_acl_)/.test(key)) this.#warnOfAccessList(entry);
      else if (!SECURITY_LABEL.test(key)) {
        refuse(
          entry,
          `its extended attribute ${shown(key.replace(/^\w+\.xattr\./, ''))} cannot be kept on the host`,
        );
      }
    }
    return kept;
  }

  #warnOfAccessList(entry: TarEntry): void {
    if (this.#warnedOfAccessLists) return;
    this.#warnedOfAccessLists = true;
    this.#warn(
      `access control lists are not copied to the host, because they name users of the testbed; the first file that has one is ${shown(entry.path)}`,
    );
  }
}

function refuse(entry: TarEntry, why: string): never {
  throw new CopyError(`${shown(entry.path)} from the testbed is refused: ${why}`, { code: 'ENTRY_REFUSED' });
}
