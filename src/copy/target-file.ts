/** The file on the host that a single file from the testbed is written to. */
import {
  closeSync,
  constants,
  createWriteStream,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  openSync,
  unlinkSync,
  type WriteStream,
} from 'node:fs';
import { CopyError, codeOf } from '../errors.ts';
import { shown } from './bytes.ts';
import { below, openDirectory, reasonOf, splitPath } from './host-paths.ts';

/** Bytes that may wait for a slow disk. */
const WAITING = 1 << 22;

export class TargetFile {
  /** Owns the descriptor. */
  readonly stream: WriteStream;
  readonly #file: number;
  readonly #closed: Promise<void>;
  /** The directory and the name in it, if the file is new. */
  readonly #created: { directory: number; name: Buffer } | undefined;
  #touched = false;
  #error: Error | undefined;

  /**
   * A file that is there is written over as cp does, through a symbolic link too, and keeps its mode; nothing of it is
   * changed before `begin`.
   * @throws CopyError when it cannot be written to
   */
  constructor(path: Buffer) {
    const { file, created } = openTarget(path);
    this.#file = file;
    this.#created = created;
    this.stream = createWriteStream('', { fd: file, highWaterMark: WAITING });
    this.stream.once('error', (error) => {
      this.#error = error;
    });
    this.#closed = new Promise((resolve) => this.stream.once('close', resolve));
  }

  /** Empties the file, and makes it executable for whom it is readable. */
  begin(executable: boolean): void {
    this.#touched = true;
    const stat = fstatSync(this.#file);
    if (!stat.isFile()) return;
    ftruncateSync(this.#file, 0);
    if (executable) fchmodSync(this.#file, (stat.mode & 0o7777) | ((stat.mode & 0o444) >> 2));
  }

  /** Resolves when everything is written. @throws CopyError when the disk is full or breaks */
  async accept(): Promise<void> {
    this.stream.end();
    await this.#closed;
    if (this.#error !== undefined) throw this.failure();
    if (this.#created !== undefined) closeSync(this.#created.directory);
  }

  /** Why nothing more can be written. */
  failure(): CopyError {
    // The stream knows it before it tells.
    const error = this.stream.errored ?? this.#error;
    return new CopyError(`writing on the host failed: ${reasonOf(error)}`, { cause: error });
  }

  /** Takes back what was written, as far as that can be; says what stays behind. */
  async abandon(): Promise<string> {
    this.stream.destroy();
    await this.#closed;
    if (this.#created === undefined)
      return this.#touched ? '; the file on the host has only a part of it now' : '';
    const { directory, name } = this.#created;
    try {
      unlinkSync(below(directory, name));
      return '';
    } catch {
      return '; a part of it stays on the host';
    } finally {
      closeSync(directory);
    }
  }
}

function openTarget(path: Buffer): {
  file: number;
  created: { directory: number; name: Buffer } | undefined;
} {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;
  let directory: number | undefined;
  try {
    const { parent, name } = splitPath(path);
    directory = openDirectory(parent);
    const target = below(directory, name);
    try {
      return {
        file: openSync(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o666),
        created: { directory, name },
      };
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
    // A fifo must not block the whole server. A link to nowhere fails here, as with cp.
    const file = openSync(target, O_WRONLY | O_NONBLOCK | O_NOCTTY);
    closeSync(directory);
    const stat = fstatSync(file);
    if (stat.isFile() || stat.isCharacterDevice()) return { file, created: undefined };
    closeSync(file);
    directory = undefined;
    throw new CopyError('it is not a regular file');
  } catch (error) {
    if (directory !== undefined) closeSync(directory);
    throw new CopyError(`cannot write to ${shown(path)} on the host: ${reasonOf(error)}`, { cause: error });
  }
}
