/** Files from memory: checked, and packed by tar-stream as an archive for `putArchive`. */
import { type Pack, pack } from 'tar-stream';
import { UsageError } from '../errors.ts';
import { checkNames, checkText, type Names, notAllowed } from './checks.ts';
import type { Owner } from './owners.ts';

/** The content of a file. A text is written as UTF-8. */
export type FileContent = string | Uint8Array;

/** A file with its mode and owner. */
export interface FileToWrite {
  /** What the file has. */
  readonly content: FileContent;
  /** Permission bits, with those of set-user-id, set-group-id and sticky. Default: 0o644. */
  readonly mode?: number;
  /** Name or number of a user in the testbed, to which and to whose group the file belongs. Default: root. */
  readonly user?: string;
}

/** Absolute paths in the testbed, with what is to be written there. */
export type FilesToWrite = Readonly<Record<string, FileContent | FileToWrite>>;

interface CheckedFile {
  readonly path: string;
  readonly content: Uint8Array;
  readonly mode: number;
  readonly user: string;
}

const FILE_NAMES: Names<Required<FileToWrite>> = { content: true, mode: true, user: true };
const ROOT = 'root';
/** The kind in a mode; tar-stream takes a mode of 0 for a missing one. */
const REGULAR = 0o100000;

/** @throws UsageError that names the path */
export function checkFiles(files: FilesToWrite): CheckedFile[] {
  if (typeof files !== 'object' || files === null || Array.isArray(files)) {
    throw notAllowed('files', files, "give an object like { '/etc/x.conf': 'text' }");
  }
  const checked = Object.entries(files).map(([path, file]) => checkFile(path, file));
  const paths = new Set<string>();
  for (const { path } of checked) {
    if (paths.has(path)) {
      throw new UsageError(`${path} is written twice`, { code: 'WRONG_VALUE', remedy: 'name it once' });
    }
    paths.add(path);
  }
  return checked;
}

function checkFile(given: string, file: FileContent | FileToWrite): CheckedFile {
  const names = given.split('/').filter((name) => name !== '' && name !== '.');
  if (!given.startsWith('/') || names.length === 0 || names.includes('..') || /\/\.?$|\0/.test(given)) {
    throw new UsageError(`${given} is not an absolute path of a file`, {
      code: 'WRONG_VALUE',
      remedy: 'write it like /etc/x.conf',
    });
  }
  const path = names.join('/');
  if (isContent(file)) return { path, content: bytesOf(file), mode: 0o644, user: ROOT };
  if (typeof file !== 'object' || file === null) {
    throw notAllowed(`the content of ${given}`, file, 'give a text or a Uint8Array');
  }
  checkNames(given, file, FILE_NAMES);
  const { content, mode = 0o644, user = ROOT } = file;
  if (!isContent(content)) {
    throw notAllowed(`the content of ${given}`, content, 'give a text or a Uint8Array');
  }
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777) {
    throw notAllowed(`the mode of ${given}`, mode, 'give permission bits like 0o755');
  }
  checkText(`the user of ${given}`, user, 'give the name or number of a user');
  return { path, content: bytesOf(content), mode, user };
}

function isContent(value: unknown): value is FileContent {
  return typeof value === 'string' || value instanceof Uint8Array;
}

function bytesOf(content: FileContent): Uint8Array {
  return typeof content === 'string' ? Buffer.from(content) : content;
}

/** @param owners of each user that is named */
export function packFiles(
  files: readonly CheckedFile[],
  owners: ReadonlyMap<string, Owner>,
): AsyncIterable<unknown> {
  const archive = pack();
  void fill(archive, files, owners).catch((error) => archive.destroy(error));
  return archive;
}

async function fill(
  archive: Pack,
  files: readonly CheckedFile[],
  owners: ReadonlyMap<string, Owner>,
): Promise<void> {
  for (const { path, content, mode, user } of files) {
    const { uid, gid } = owners.get(user) ?? { uid: 0, gid: 0 };
    // In its headers tar-stream keeps 18 bits of an id and 31 of a time, and discards the others.
    const pax = { uid: String(uid), gid: String(gid), mtime: String(Date.now() / 1000) };
    const header = { name: path, mode: REGULAR | mode, size: content.byteLength, mtime: new Date(0), pax };
    await new Promise<void>((resolve, reject) => {
      const done = (error?: Error | null) => (error ? reject(error) : resolve());
      archive.entry(header, done).end(content);
    });
  }
  archive.finalize();
}
