/** How much of a copy is done, told at most four times a second and once at its end. */
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
