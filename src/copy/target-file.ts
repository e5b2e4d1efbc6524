/**
 * The file on the host that a single file from the testbed is written to. One that is there is written over as cp does; a
 * new one has another name until it is whole.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  openSync,
  renameSync,
  unlinkSync,
} from 'node:fs';
import { CopyError, reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { shown } from './bytes.ts';
import { below, lstatOrNothing, openDirectory, splitPath } from './host-paths.ts';
import { OpenFile } from './open-file.ts';
import { Guard, stagingName } from './staging.ts';

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;

export class TargetFile {
  /** For writing. */
  readonly open: OpenFile;
  readonly #directory: number;
  readonly #name: Buffer;
  /** What it is called until it is whole, if it is new. */
  readonly #created: { readonly name: string; readonly guard: Guard } | undefined;
  #touched = false;

  /**
   * A file that is there is written to through a symbolic link too, and keeps its mode; nothing of it is changed before
   * `begin`.
   * @throws CopyError when it cannot be written to
   */
  constructor(path: Buffer, log: Log) {
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
      throw new CopyError(`cannot write to ${shown(path)} on the host: ${reasonOf(error)}`, { cause: error });
    }
  }

  /** Makes the file executable for whom it is readable, if it is to be, and empties it. */
  begin(executable: boolean): void {
    const { file } = this.open;
    const stat = fstatSync(file);
    if (!stat.isFile()) return;
    const mode = stat.mode & 0o7777;
    const wanted = executable ? mode | ((mode & 0o444) >> 2) : mode;
    // First, because it may be forbidden: somebody else's file can be writable.
    if (wanted !== mode) fchmodSync(file, wanted);
    this.#touched = true;
    // An ext4 writes to its disk at once what comes into a file that was cut, even from nothing to nothing.
    if (stat.size > 0) ftruncateSync(file, 0);
  }

  /** Lets it appear. @throws CopyError when somebody else has made one of its name meanwhile */
  async accept(): Promise<void> {
    if (this.#created !== undefined) {
      const target = below(this.#directory, this.#name);
      if (lstatOrNothing(target) !== undefined) {
        throw new CopyError('somebody else made that file on the host meanwhile');
      }
      renameSync(below(this.#directory, this.#created.name), target);
    }
    await this.#close();
  }

  /** Takes back what was written, as far as that can be; says what stays behind. Nobody may write to it any more. */
  async abandon(): Promise<string> {
    try {
      if (this.#created === undefined) {
        return this.#touched ? '; the file on the host has only a part of it now' : '';
      }
      unlinkSync(below(this.#directory, this.#created.name));
      return '';
    } catch {
      return `; a part of it stays on the host as ${this.#created?.name}`;
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
  // A fifo must not block the whole server. A link to nowhere fails here, as with cp.
  const file = openSync(path, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  const stat = fstatSync(file);
  if (stat.isFile() || stat.isCharacterDevice()) return file;
  closeSync(file);
  throw new CopyError('it is not a regular file');
}
