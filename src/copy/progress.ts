/** How much of a copy is done, told at most four times a second and once at its end. */
import type { CopyOptions } from './types.ts';

const INTERVAL = 250;

export interface Amount {
  bytes: number;
  files: number;
}

export class Progress implements Amount {
  bytes = 0;
  files = 0;
  #look: (() => Amount) | undefined;
  readonly #tell: () => void;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor({ progress }: Pick<CopyOptions, 'progress'>) {
    this.#tell = () => {
      if (progress === undefined) return;
      const { bytes, files } = this.#look?.() ?? this;
      this.bytes = Math.max(this.bytes, bytes);
      this.files = Math.max(this.files, files);
      progress(this.bytes, this.files);
    };
    if (progress !== undefined) this.#timer = setInterval(this.#tell, INTERVAL).unref();
  }

  /** Says where to look for the amount when the bytes do not pass through here. */
  watch(look: () => Amount): void {
    this.#look = look;
  }

  end(): void {
    clearInterval(this.#timer);
    this.#tell();
  }
}
