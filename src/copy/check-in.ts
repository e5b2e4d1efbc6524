/**
 * Checks the entries of an archive that goes into a testbed: nothing of it arrives outside of its directory. In contrast to an
 * archive from a testbed, directories may be missing and a name may come twice, as tar(1) allows, and files may be setuid.
 */
import { type ByteString, shown } from '../archive/bytes.ts';
import { cleanPath, parentOf } from '../archive/paths.ts';
import type { TarEntry, TarKind } from '../archive/tar-entry.ts';
import { CopyError } from '../errors.ts';
import { SECURITY_LABEL } from './check.ts';
import { type Limits, Tally } from './tally.ts';

/** The largest id; 2³² - 1 means "no id". */
export const LARGEST_ID = 2 ** 32 - 2;

export class IncomingChecker {
  readonly #tally: Tally;
  readonly #kinds = new Map<ByteString, TarKind>();

  constructor(limits: Limits) {
    this.#tally = new Tally(limits, 'the archive', 'put it in several archives');
  }

  /** Gives the entry with a clean path. @throws CopyError that names the entry */
  check(entry: TarEntry): TarEntry {
    const path = cleanPath(entry.path, (why) => refuse(entry, why));
    if (path === '.' && entry.kind !== 'directory') refuse(entry, 'it has the name of the top directory');
    for (let above = parentOf(path); above !== '.'; above = parentOf(above)) {
      const kind = this.#kinds.get(above);
      if (kind !== undefined && kind !== 'directory') refuse(entry, `it would be written through a ${kind}`);
    }
    if (entry.kind.endsWith(' device') || entry.kind === 'unknown') {
      refuse(entry, `it is ${entry.kind === 'unknown' ? 'of an unknown kind' : `a ${entry.kind}`}`);
    }
    if (entry.kind !== 'file' && entry.size > 0) refuse(entry, 'it has content, but is not a file');
    if (entry.kind === 'symbolic link' && (entry.link === '' || entry.link.length > 4095)) {
      refuse(entry, 'it is a symbolic link without a usable target');
    }
    for (const id of [entry.uid, entry.gid]) {
      if (id < 0 || id > LARGEST_ID) refuse(entry, `its owner ${id} is not a valid id`);
    }
    const link = entry.kind === 'hard link' ? this.#hardLink(entry) : entry.link;
    this.#tally.add(path, entry);
    this.#kinds.set(path, entry.kind);
    return { ...entry, path, link, attributes: keptAttributes(entry) };
  }

  #hardLink(entry: TarEntry): ByteString {
    const target = cleanPath(entry.link, () =>
      refuse(entry, `it is a hard link to ${shown(entry.link)}, outside of the archive`),
    );
    const kind = this.#kinds.get(target);
    if (kind === undefined || kind === 'directory') {
      refuse(entry, `it is a hard link to ${shown(target)}, which is not in the archive before it as a file`);
    }
    return target;
  }
}

/** Labels of security modules and access lists name rules and users that the testbed does not have. */
function keptAttributes(entry: TarEntry): TarEntry['attributes'] {
  if (entry.attributes.size === 0) return entry.attributes;
  const kept = new Map<ByteString, ByteString>();
  for (const [key, value] of entry.attributes) {
    if (/^SCHILY\.xattr\.(user\.|security\.capability$)/.test(key)) kept.set(key, value);
    else if (!SECURITY_LABEL.test(key)) {
      refuse(entry, `its attribute ${shown(key.replace(/^\w+\./, ''))} cannot be kept in a testbed`);
    }
  }
  return kept;
}

function refuse(entry: TarEntry, why: string): never {
  throw new CopyError(`${shown(entry.path)} of the archive is refused: ${why}`, {
    code: 'ENTRY_REFUSED',
    remedy: 'make the archive without it',
  });
}
