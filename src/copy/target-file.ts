/**
 * A single file on the host. An existing one is overwritten, as by cp; a new one has a temporary name until it is complete.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  linkSync,
  openSync,
  renameSync,
  unlinkSync,
} from 'node:fs';
import { CopyError, systemCodeOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { cannotWrite, notRegular } from './failures.ts';
import { below, lstatOrNothing, openDirectory, splitPath } from './host-paths.ts';
import { OpenFile } from './open-file.ts';
import { Guard, stagingName } from './staging.ts';

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;

export class TargetFile {
  readonly open: OpenFile;
  readonly #path: Buffer;
  readonly #directory: number;
  readonly #name: Buffer;
  readonly #created: { readonly name: string; readonly guard: Guard } | undefined;
  #touched = false;

  /** An existing file is written through a symbolic link too, and does not change before `begin`. @throws CopyError */
  constructor(path: Buffer, log: Log) {
    this.#path = path;
    let directory: number | undefined;
    try {
      const { parent, name } = splitPath(path);
      directory = openDirectory(parent);
      this.#directory = directory;
      this.#name = name;
      if (lstatOrNothing(below(directory, name)) === undefined) {
        const { file, ...created } = createFile(directory, log);
        this.open = new OpenFile(file, 'written');
        this.#created = created;
      } else {
        this.open = new OpenFile(openExisting(below(directory, name)), 'written');
      }
    } catch (error) {
      if (directory !== undefined) closeSync(directory);
      throw cannotWrite(path, error);
    }
  }

  /** Truncates the file. If it is to be executable, its readers may execute it. @throws CopyError */
  begin(executable: boolean): void {
    try {
      this.#begin(executable);
    } catch (error) {
      throw cannotWrite(this.#path, error);
    }
  }

  #begin(executable: boolean): void {
    const { file } = this.open;
    const stat = fstatSync(file);
    if (!stat.isFile()) return;
    const mode = stat.mode & 0o7777;
    const wanted = executable ? mode | ((mode & 0o444) >> 2) : mode;
    // First, because it may be forbidden.
    if (wanted !== mode) fchmodSync(file, wanted);
    this.#touched = true;
    // ext4 writes a file that was truncated, even an empty one, to the disk when it is closed.
    if (stat.size > 0) ftruncateSync(file, 0);
  }

  async accept(): Promise<void> {
    if (this.#created !== undefined)
      giveName(below(this.#directory, this.#created.name), below(this.#directory, this.#name));
    await this.#close();
  }

  async abandon(): Promise<string | undefined> {
    try {
      if (this.#created === undefined) {
        return this.#touched ? 'the file on the host has only a part of it now' : undefined;
      }
      unlinkSync(below(this.#directory, this.#created.name));
      return undefined;
    } catch {
      return `a part of it stays on the host as ${this.#created?.name}`;
    } finally {
      await this.#close();
    }
  }

  async #close(): Promise<void> {
    this.open.close();
    closeSync(this.#directory);
    await this.#created?.guard.end();
  }
}

/** As a rename, but never replaces a file that another process made. */
function giveName(from: Buffer, to: Buffer): void {
  try {
    try {
      linkSync(from, to);
    } catch (error) {
      if (!NO_LINKS.has(systemCodeOf(error) ?? '')) throw error;
      // Without hard links: a new empty file reserves the name and is then replaced.
      closeSync(openSync(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
      renameSync(from, to);
      return;
    }
    unlinkSync(from);
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') throw error;
    throw new CopyError('another process has made a file of that name on the host during the copy', {
      code: 'TARGET_EXISTS',
      cause: error,
    });
  }
}

const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

function createFile(directory: number, log: Log): { file: number; name: string; guard: Guard } {
  const name = stagingName();
  const guard = new Guard(directory, name, log);
  try {
    return {
      file: openSync(below(directory, name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o666),
      name,
      guard,
    };
  } catch (error) {
    void guard.end();
    throw error;
  }
}

function openExisting(path: Buffer): number {
  // A fifo must not block the server. A link to a file that does not exist fails, as with cp.
  const file = openThere(path);
  const stat = fstatSync(file);
  if (stat.isFile() || stat.isCharacterDevice()) return file;
  closeSync(file);
  throw notRegular();
}

function openThere(path: Buffer): number {
  try {
    return openSync(path, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch (cause) {
    if (systemCodeOf(cause) !== 'ENOENT') throw cause;
    throw new CopyError('it is a link to a file that does not exist', {
      ...{ code: 'NO_FILE', remedy: 'remove the link first', cause },
    });
  }
}
