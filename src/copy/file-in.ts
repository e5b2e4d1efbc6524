import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { shown } from '../archive/bytes.ts';
import { withEnds } from './ends.ts';
import { cannotRead, isDirectory, notRegular } from './failures.ts';
import { moveFile, OPENER_STDIO } from './move-file.ts';
import { OpenFile } from './open-file.ts';
import { Progress } from './progress.ts';
import { startInside } from './script.ts';
import type { CopyOptions, CopyTestbed } from './types.ts';

export async function copyFileIn(
  testbed: CopyTestbed,
  host: Buffer,
  inside: Buffer,
  options: CopyOptions,
): Promise<void> {
  await withEnds(`copying ${shown(host)} to ${shown(inside)} in the testbed`, options, async (ends) => {
    const { file, mode } = openSource(host);
    const progress = new Progress(options, () => file.copied);
    try {
      const executable = (mode & 0o111) === 0 ? '-' : 'x';
      const opener = await startInside(testbed, ends, 'copy-in-file', OPENER_STDIO, inside, executable);
      await moveFile(testbed, ends, { opener, way: ['in'], file });
      progress.files = 1;
    } finally {
      progress.end();
      await ends.settled();
      file.close();
    }
  });
}

function openSource(host: Buffer): { file: OpenFile; mode: number } {
  let file: number | undefined;
  try {
    // A fifo must not block the server.
    file = openSync(host, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(file);
    if (stat.isDirectory()) throw isDirectory();
    if (!stat.isFile()) throw notRegular();
    return { file: new OpenFile(file, 'read'), mode: stat.mode };
  } catch (error) {
    if (file !== undefined) closeSync(file);
    throw cannotRead(error);
  }
}
