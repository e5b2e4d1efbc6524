/** `compare`: what differs between two runs. */
import { UsageError } from '../errors.ts';
import { compareRuns } from '../report/compare.ts';
import { readInput, readPipe } from '../report/input.ts';
import { runOf } from '../report/run.ts';
import { comparisonText } from '../report/text.ts';
import type { RunVerb } from './verb.ts';

/** Gives 0 when results and packages are equal, else 1. */
export const compare: RunVerb = async (words, signal) => {
  const [a, b] = words.operands;
  if (a === undefined || b === undefined) {
    throw new UsageError('compare takes two files of events or output directories', {
      code: 'MISSING_WORD',
      remedy: 'see compare --help',
    });
  }
  const pipes = [await readPipe(a, signal), await readPipe(b, signal)];
  const comparison = compareRuns(runOf(readInput(a, pipes[0])), runOf(readInput(b, pipes[1])));
  process.stdout.write(
    words.has('json') ? `${JSON.stringify(comparison, null, 2)}\n` : comparisonText(comparison),
  );
  return comparison.equal ? 0 : 1;
};
