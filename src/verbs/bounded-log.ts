/** The output of a detached command, in two files: `log`, and `log.1` with what came before. Each has at most `HALF` bytes. */
import { closeSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export const HALF = 4 * 1024 ** 2;
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

  /** Does not throw: a full disk must not end the command. */
  write(bytes: Buffer): void {
    for (let rest = bytes; rest.length > 0; ) {
      if (this.#size >= this.#half) this.#begin();
      const part = rest.subarray(0, this.#half - this.#size);
      rest = rest.subarray(part.length);
      this.#size += part.length;
      try {
        writeSync(this.#file, part);
      } catch {
        return;
      }
    }
  }

  close(): void {
    closeSync(this.#file);
  }

  #begin(): void {
    closeSync(this.#file);
    renameSync(join(this.#folder, CURRENT), join(this.#folder, BEFORE));
    this.#file = openNew(join(this.#folder, CURRENT));
    this.#size = 0;
  }
}

function openNew(path: string): number {
  return openSync(path, 'ax', 0o600);
}
