import assert from 'node:assert/strict';
import { parseDays, parseSize } from '../../../src/command-line/values.ts';
import { UsageError } from '../../../src/errors.ts';

describe('values of options', () => {
  it('are sizes in units of 1024', () => {
    assert.deepEqual(
      ['0', '12', '1k', '1.5M', '20G', '2TiB'].map((text) => parseSize('--x', text)),
      [0, 12, 1024, 1.5 * 2 ** 20, 20 * 2 ** 30, 2 ** 41],
    );
    for (const text of ['', 'x', '1X', '-1', '1 G']) assert.throws(() => parseSize('--x', text), UsageError);
    assert.equal(parseSize('--x', undefined), undefined);
  });

  it('are numbers of days', () => {
    assert.equal(parseDays('--x', '1.5'), 1.5 * 86_400_000);
    assert.throws(() => parseDays('--x', 'a week'), UsageError);
  });
});
