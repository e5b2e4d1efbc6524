import { isatty } from 'node:tty';
import { startProgress } from '../progress-line.ts';
import type { CopyOptions } from './types.ts';

/** On a terminal, shows how much is copied while `copy` lasts. */
export async function withCopyLine<T extends CopyOptions>(
  what: string,
  options: T,
  copy: (options: T) => Promise<void>,
): Promise<void> {
  if (!isatty(2)) return copy(options);
  let copied = '';
  const line = startProgress(what, { note: () => copied });
  const progress = (bytes: number, files: number) => {
    copied = `${(bytes / 1024 ** 2).toFixed(1)} MiB, ${files} files`;
    options.progress?.(bytes, files);
  };
  try {
    await copy({ ...options, progress });
  } finally {
    line.done();
  }
}
