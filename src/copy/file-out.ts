/** A single file from the testbed to the host. */
import { CopyError, messageOf } from '../errors.ts';
import { scriptText } from '../scripts.ts';
import { shellEscaped, shown } from './bytes.ts';
import { DEFAULT_MAX_BYTES, tooManyBytes } from './check.ts';
import { drain, type End, mustEnd, roomIn, withEnds } from './ends.ts';
import { Progress } from './progress.ts';
import { TargetFile } from './target-file.ts';
import type { CopyOptions, CopyTestbed } from './types.ts';

const EXECUTABLE = 'x'.charCodeAt(0);

export async function copyFileOut(
  testbed: CopyTestbed,
  inside: Buffer,
  host: Buffer,
  options: CopyOptions,
): Promise<void> {
  await withEnds(`copying ${shown(inside)} up to ${shown(host)}`, options, async (ends) => {
    const target = new TargetFile(host);
    const progress = new Progress(options);
    try {
      const end = ends.add(
        await testbed.start(
          ['sh', '-c', scriptText('in-testbed', 'copy-out-file.sh'), 'copy-out-file', shellEscaped(inside)],
          ['ignore', 'pipe', 'pipe'],
        ),
        'testbed',
      );
      await receive(end, target, progress, options.maxBytes ?? DEFAULT_MAX_BYTES);
      await target.accept();
      progress.files = 1;
    } catch (error) {
      throw new CopyError(`${messageOf(error)}${await target.abandon()}`, { cause: error });
    } finally {
      progress.end();
    }
  });
}

async function receive(end: End, target: TargetFile, progress: Progress, maxBytes: number): Promise<void> {
  const { stdout } = end.process.child;
  if (stdout === null) throw new CopyError('a pipe is missing');
  let begun = false;
  await drain(stdout, (chunk) => {
    const content = begun ? chunk : chunk.subarray(1);
    // The first byte says whether the file is executable; it comes when the file could be opened.
    if (!begun) target.begin(chunk[0] === EXECUTABLE);
    begun = true;
    progress.bytes += content.length;
    if (progress.bytes > maxBytes) throw tooManyBytes(maxBytes);
    if (target.stream.destroyed) throw target.failure();
    target.stream.write(content);
    return roomIn(target.stream);
  });
  await mustEnd(end, 'reading in the testbed');
  if (!begun) throw new CopyError('the testbed sent nothing');
}
