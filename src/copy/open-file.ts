/** A file of the host from which or to which one file is copied. */
import { closeSync, openSync, readFileSync } from 'node:fs';

export class OpenFile {
  readonly file: number;
  /** The same file with a position of its own, for its second half: two processors copy faster than one. */
  readonly again: number | undefined;
  #half: number | undefined;

  /**
   * @param file open at its beginning; closed by `close`
   * @param again how it may be opened once more (an open(2) flag). Default: not at all
   */
  constructor(file: number, again?: number) {
    this.file = file;
    this.again = again === undefined ? undefined : openAgain(file, again);
  }

  /** From now on both are used, `again` from this byte on. */
  halved(at: number): void {
    this.#half = at;
  }

  get isHalved(): boolean {
    return this.#half !== undefined;
  }

  /** The number of bytes copied so far, by whoever shares the file: processes beside a testbed too. */
  get copied(): number {
    return positionOf(this.file) + this.#copiedOfSecondHalf;
  }

  /** Whether some of the second half was copied, but not all of the first. */
  get isTorn(): boolean {
    return this.#copiedOfSecondHalf > 0 && positionOf(this.file) !== this.#half;
  }

  get #copiedOfSecondHalf(): number {
    if (this.#half === undefined || this.again === undefined) return 0;
    return Math.max(0, positionOf(this.again) - this.#half);
  }

  close(): void {
    closeSync(this.file);
    if (this.again !== undefined) closeSync(this.again);
  }
}

function openAgain(file: number, flags: number): number | undefined {
  try {
    return openSync(`/proc/self/fd/${file}`, flags);
  } catch {
    // A umask may have taken our own right to do so.
    return undefined;
  }
}

function positionOf(file: number): number {
  return Number(/^pos:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${file}`, 'latin1'))?.[1] ?? 0);
}
