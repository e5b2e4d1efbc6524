import { shown } from '../archive/bytes.ts';
import { withEnds } from './ends.ts';
import { tooManyBytes } from './failures.ts';
import { EXECUTABLE, moveFile, OPENER_STDIO } from './move-file.ts';
import { Progress } from './progress.ts';
import { startInside } from './script.ts';
import { DEFAULT_MAX_BYTES } from './tally.ts';
import { TargetFile } from './target-file.ts';
import type { CopyOptions, CopyTestbed } from './types.ts';

export async function copyFileOut(
  testbed: CopyTestbed,
  inside: Buffer,
  host: Buffer,
  options: CopyOptions,
): Promise<void> {
  await withEnds(`copying ${shown(inside)} from the testbed to ${shown(host)}`, options, async (ends) => {
    const opener = await startInside(testbed, ends, 'copy-out-file', OPENER_STDIO, inside);
    const target = new TargetFile(host, options.log);
    const progress = new Progress(options, () => target.open.copied);
    const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    try {
      try {
        const bytes = await moveFile(testbed, ends, {
          opener,
          way: ['out', String(Math.min(maxBytes, Number.MAX_SAFE_INTEGER - 1) + 1)],
          file: target.open,
          opened: (sent) => target.begin(sent === EXECUTABLE),
        });
        if (bytes > maxBytes) throw tooManyBytes(maxBytes);
        progress.files = 1;
      } finally {
        progress.end();
      }
      await target.accept();
    } catch (error) {
      await ends.settled();
      ends.left = await target.abandon();
      throw error;
    }
    await ends.settled();
  });
}
