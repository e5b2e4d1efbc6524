/** A single file from the host into the testbed. */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { CopyError, messageOf } from '../errors.ts';
import { spawnHost } from '../host.ts';
import { scriptText } from '../scripts.ts';
import { shellEscaped, shown } from './bytes.ts';
import { bothEnd, inputOf, mustEnd, withEnds } from './ends.ts';
import { Progress, positionOf } from './progress.ts';
import type { CopyOptions, CopyTestbed } from './types.ts';

const WRITABLE_BY_OTHERS = 0o022;

export async function copyFileIn(
  testbed: CopyTestbed,
  host: Buffer,
  inside: Buffer,
  options: CopyOptions,
): Promise<void> {
  await withEnds(`copying ${shown(host)} down to ${shown(inside)}`, options, async (ends) => {
    const { file, mode } = openSource(host);
    // The testbed reads the file itself, which is fastest. But what it was lent it can open again by way of /proc, as
    // anybody may whom the mode of the file allows, past the directories that protect it: then it gets a pipe.
    const lent = (mode & WRITABLE_BY_OTHERS) === 0;
    const progress = new Progress(options, () => positionOf(file));
    try {
      const writing = ends.add(
        await testbed.start(
          [
            ...(['sh', '-c', scriptText('in-testbed', 'copy-in-file.sh'), 'copy-in-file'] as const),
            ...[shellEscaped(inside), (mode & 0o111) === 0 ? '-' : 'x'],
          ],
          [lent ? file : 'pipe', 'ignore', 'pipe'],
        ),
        'testbed',
      );
      if (lent) {
        await mustEnd(writing, 'writing in the testbed');
      } else {
        const input = inputOf(writing);
        const reading = ends.add(
          await spawnHost(['cat'], options.log, { stdio: [file, input, 'pipe'], env: { LC_ALL: 'C' } }),
          'host',
        );
        input.destroy();
        await bothEnd([reading, 'reading on the host'], [writing, 'writing in the testbed']);
      }
      progress.files = 1;
    } finally {
      progress.end();
      await ends.settled();
      closeSync(file);
    }
  });
}

function openSource(host: Buffer): { file: number; mode: number } {
  let file: number | undefined;
  try {
    // A fifo must not block the whole server.
    file = openSync(host, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(file);
    if (stat.isDirectory()) throw new CopyError('it is a directory; its name needs a slash at the end');
    if (!stat.isFile()) throw new CopyError('it is not a regular file');
    return { file, mode: stat.mode };
  } catch (error) {
    if (file !== undefined) closeSync(file);
    throw new CopyError(`cannot read it on the host: ${messageOf(error)}`, { cause: error });
  }
}
