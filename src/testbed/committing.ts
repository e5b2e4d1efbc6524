import { UsageError } from '../errors.ts';
import { option } from '../option-words.ts';
import type { TestbedOptions } from './types.ts';

/** What can be found before a testbed is open. @throws UsageError */
export function checkCommit({ mode, root: { rootfs } }: Pick<TestbedOptions, 'mode' | 'root'>): void {
  if (mode === 'copy') throw notOfCopies();
  if (rootfs?.includes('/') !== true) return;
  throw new UsageError(`a testbed over the directory ${rootfs} cannot become an image`, {
    code: 'NO_PARENT',
    remedy: `call rootfs import ${rootfs} NAME, and open a testbed by ${option('release', 'NAME')}`,
  });
}

export function notOfCopies(): UsageError {
  return new UsageError(
    `a testbed with ${option('mode', 'copy')} cannot become an image, because it has no layer of its own`,
    {
      code: 'NO_LAYER',
      remedy: `open it without ${option('mode', 'copy')}`,
    },
  );
}
