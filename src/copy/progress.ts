/** How much of a copy is done, told at most four times a second and once at its end. */
import { readFileSync } from 'node:fs';
import type { CopyOptions } from './types.ts';

const INTERVAL = 250;

export class Progress {
  bytes = 0;
  files = 0;
  readonly #tell: () => void;
  readonly #timer: NodeJS.Timeout | undefined;

  /** @param bytes where the number of bytes is to be asked for, when nobody counts them here */
  constructor(options: Pick<CopyOptions, 'progress'>, bytes?: () => number) {
    const { progress } = options;
    this.#tell = () => progress?.(bytes?.() ?? this.bytes, this.files);
    if (progress !== undefined) this.#timer = setInterval(this.#tell, INTERVAL).unref();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#tell();
  }
}

/** Where an open file is read or written next, in bytes; for whoever shares it, processes of a testbed too. */
export function positionOf(file: number): number {
  return Number(/^pos:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${file}`, 'latin1'))?.[1] ?? 0);
}
