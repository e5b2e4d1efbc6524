/** `report`: a run as a page, or as text on stdout. */
import { writeFileSync } from 'node:fs';
import { reasonOf, systemCodeOf, TestbedError, UsageError } from '../errors.ts';
import { readInput, readPipe } from '../report/input.ts';
import { runOf } from '../report/run.ts';
import { runText } from '../report/text.ts';
import { scarceRemedy } from '../scarce.ts';
import type { RunVerb } from './verb.ts';

export const report: RunVerb = async (words, signal) => {
  const [path] = words.operands;
  if (path === undefined) {
    throw new UsageError('report takes one file of events or output directory', {
      code: 'MISSING_WORD',
      remedy: 'see report --help',
    });
  }
  const input = readInput(path, await readPipe(path, signal));
  const run = runOf(input);
  const target = words.one('output');
  if (target === undefined) {
    process.stdout.write(runText(run));
    return 0;
  }
  const { pageOf } = await import('../report/page.ts');
  write(target, pageOf(run, input));
  return 0;
};

function write(path: string, text: string): void {
  if (path === '-') {
    process.stdout.write(text);
    return;
  }
  try {
    writeFileSync(path, text);
  } catch (cause) {
    throw new TestbedError(`cannot write the report ${path}: ${reasonOf(cause)}`, {
      code: 'CANNOT_WRITE',
      remedy: scarceRemedy(systemCodeOf(cause)) ?? 'name a file in a directory where this user may write',
      cause,
    });
  }
}
