/** The output of a detached command, in two files: `log`, and `log.1` with what came before. Each has at most `HALF` bytes. */
import { closeSync, existsSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const HALF = 4 * 1024 ** 2;
export const CURRENT = 'log';
export const BEFORE = 'log.1';

export class BoundedLog {
  readonly #folder: string;
  readonly #half: number;
  #file: number;
  #size = 0;

  constructor(folder: string, half = HALF) {
    this.#folder = folder;
    this.#half = half;
    this.#file = openNew(join(folder, CURRENT));
  }

  /** Does not throw: a full disk, or a directory that was removed, must not end the command. Then the rest is dropped. */
  write(bytes: Buffer): void {
    try {
      for (let rest = bytes; rest.length > 0; ) {
        if (this.#size >= this.#half) this.#begin();
        const written = writeSync(this.#file, rest.subarray(0, this.#half - this.#size));
        rest = rest.subarray(written);
        this.#size += written;
      }
    } catch {}
  }

  #begin(): void {
    const path = join(this.#folder, CURRENT);
    // An attempt before this one may have got so far.
    if (existsSync(path)) renameSync(path, join(this.#folder, BEFORE));
    const file = openNew(path);
    closeSync(this.#file);
    this.#file = file;
    this.#size = 0;
  }
}

function openNew(path: string): number {
  return openSync(path, 'ax', 0o600);
}
