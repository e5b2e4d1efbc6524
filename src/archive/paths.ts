import type { ByteString } from './bytes.ts';

const LONGEST_PATH = 3900;
const LONGEST_NAME = 255;

/** Most bytes of all paths of an archive together, which are kept in memory. */
export const ALL_PATHS = 256 * 2 ** 20;

/** Most entries of an archive, because their paths are kept in memory. */
export const MOST_ENTRIES = 1_000_000;

/** A path of plain names only, `a/b`, or `.` for the top directory. @param fail gets the end of a sentence about the entry */
export function cleanPath(path: ByteString, fail: (why: string) => never): ByteString {
  if (path.startsWith('/')) fail('its name is absolute');
  const plain = path.startsWith('./') ? path.slice(2) : path;
  if (plain.length <= LONGEST_NAME && !/(^|\/)\.{0,2}(\/|$)/.test(plain)) return plain;
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  if (names.includes('..')) fail('its name has a part .., which leads upwards');
  if (names.some((name) => name.length > LONGEST_NAME)) fail(`a name has more than ${LONGEST_NAME} bytes`);
  const clean = names.join('/');
  if (clean.length > LONGEST_PATH) fail(`its path has more than ${LONGEST_PATH} bytes`);
  return clean === '' ? '.' : clean;
}

/** The directory of a clean path. */
export function parentOf(path: ByteString): ByteString {
  const slash = path.lastIndexOf('/');
  return slash === -1 ? '.' : path.slice(0, slash);
}
