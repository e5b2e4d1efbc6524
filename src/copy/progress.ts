import type { CopyOptions } from './types.ts';

/** Milliseconds. */
const INTERVAL = 250;

export class Progress {
  bytes = 0;
  files = 0;
  readonly #report: () => void;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(options: Pick<CopyOptions, 'progress'>, bytes?: () => number) {
    const { progress } = options;
    this.#report = () => progress?.(bytes?.() ?? this.bytes, this.files);
    if (progress !== undefined) this.#timer = setInterval(this.#report, INTERVAL).unref();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#report();
  }
}
