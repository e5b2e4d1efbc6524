import type { ByteString } from '../archive/bytes.ts';
import { shown } from '../archive/bytes.ts';
import { ALL_PATHS, MOST_ENTRIES } from '../archive/paths.ts';
import type { TarEntry } from '../archive/tar-entry.ts';
import { CopyError } from '../errors.ts';
import { tooManyBytes } from './failures.ts';

export interface Limits {
  /** Most bytes of all files together; holes count. Default: 64 GiB. */
  readonly maxBytes?: number | undefined;
  /** Default: one million. */
  readonly maxEntries?: number | undefined;
}

export const DEFAULT_MAX_BYTES = 64 * 2 ** 30;

/** Counts what is copied, and fails at the first entry over a limit. */
export class Tally {
  readonly #maxBytes: number;
  readonly #maxEntries: number;
  readonly #origin: string;
  readonly #remedy: string;
  #bytes = 0;
  #entries = 0;
  #pathBytes = 0;

  /** @param origin for messages: "the testbed" */
  constructor(limits: Limits, origin: string, remedy: string) {
    this.#maxBytes = limits.maxBytes ?? DEFAULT_MAX_BYTES;
    this.#maxEntries = limits.maxEntries ?? MOST_ENTRIES;
    this.#origin = origin;
    this.#remedy = remedy;
  }

  /** @throws CopyError */
  add(path: ByteString, entry: TarEntry): void {
    this.#entries += 1;
    if (this.#entries > this.#maxEntries) {
      throw new CopyError(
        `more than ${this.#maxEntries} files come from ${this.#origin} (${shown(path)} is the first too many)`,
        { code: 'TOO_MANY_FILES', remedy: this.#remedy },
      );
    }
    this.#pathBytes += path.length;
    if (this.#pathBytes > ALL_PATHS) {
      throw new CopyError(
        `the paths of the files from ${this.#origin} have more than ${ALL_PATHS} bytes together (${shown(path)} is the first too many)`,
        { code: 'TOO_LONG_PATHS', remedy: this.#remedy },
      );
    }
    this.#bytes += entry.sparse?.size ?? entry.size;
    if (this.#bytes > this.#maxBytes) throw tooManyBytes(this.#maxBytes, this.#origin);
  }
}
