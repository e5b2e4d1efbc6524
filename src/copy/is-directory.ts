import { shown } from '../archive/bytes.ts';
import { CopyError } from '../errors.ts';
import { lastWords, mustHaveRun, withEnds } from './ends.ts';
import type { CopyOptions, CopyTestbed } from './types.ts';

/**
 * Also of a link to one. A testbed that answers wrongly gets a copy that fails. @throws CopyTimeoutError, and TestbedError when it
 * cannot run a shell
 */
export async function isDirectoryInside(
  testbed: CopyTestbed,
  path: string,
  options: Pick<CopyOptions, 'timeout' | 'signal'>,
): Promise<boolean> {
  let isDirectory = false;
  await withEnds(`looking at ${shown(Buffer.from(path))} in the testbed`, options, async (ends) => {
    const argv = ['sh', '-c', '[ -d "$1" ]', 'sh', path] as const;
    const end = ends.add(await testbed.start(argv, ['ignore', 'ignore', 'pipe']), 'testbed');
    const { status } = await end.process.exited;
    if (status > 1) {
      const words = await lastWords(end);
      await mustHaveRun(end, words);
      throw new CopyError(words === '' ? `its shell ended with status ${status}` : words);
    }
    isDirectory = status === 0;
  });
  return isDirectory;
}
