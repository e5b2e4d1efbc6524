import assert from 'node:assert/strict';
import { stepOf } from '../../../src/test-runner/driver.ts';
import { countsLine, showDuration, tableHead, tableRow } from '../../../src/test-runner/table.ts';

const layout = { width: 60, longest: 12, color: false };

describe('the table of tests', () => {
  it('has a line for each, with the reason as far as there is room', () => {
    const row = { name: 'complains', state: 'FAIL', time: 3140, reason: 'stderr: a complaint' } as const;
    assert.equal(tableHead(layout), 'TEST         STATE         TIME');
    assert.equal(tableRow(row, layout), 'complains    FAIL         3.1 s  stderr: a complaint');
    assert.equal(tableRow(row, { ...layout, width: 40 }), 'complains    FAIL         3.1 s  stderr…');
  });

  it('is never wider than the terminal', () => {
    for (const width of [20, 30, 39, 80]) {
      const row = {
        name: 'n'.repeat(50),
        state: 'running',
        time: 99_999_999,
        reason: 'r'.repeat(99),
      } as const;
      assert.ok(
        tableRow(row, { ...layout, longest: 50, width }).length <= Math.max(width, 29),
        String(width),
      );
      assert.ok(tableHead({ ...layout, longest: 50, width }).length <= width);
    }
  });

  it('has colors on request, and passes no control character of a package on', () => {
    const row = { name: 'a', state: 'FAIL', time: undefined, reason: 'stderr: \x1b[2J\u202e' } as const;
    assert.ok(tableRow(row, { ...layout, color: true }).includes('\x1b[31mFAIL     \x1b[0m'));
    assert.ok(['\x1b', '\u202e'].every((each) => !tableRow(row, layout).includes(each)));
  });

  it('ends with the counts', () => {
    const counts = { PASS: 3, FAIL: 1, SKIP: 2 };
    assert.equal(
      countsLine(counts, { total: 9, time: 125_000, width: 80 }),
      '6 of 9, 3 passed, 1 failed, 2 skipped, 2:05 min',
    );
  });

  it('shows times', () => {
    assert.deepEqual(
      [showDuration(undefined), showDuration(40), showDuration(61_000)],
      ['', '0.0 s', '61.0 s'],
    );
  });
});

describe('a line of a driver', () => {
  it('reports what it does with a test', () => {
    const line = (text: string) => stepOf(`autopkgtest [10:00:00]: test smoke: ${text}`);
    assert.deepEqual(line('preparing testbed'), { name: 'smoke', step: 'preparing' });
    assert.deepEqual(line('[-----------------------'), { name: 'smoke', step: 'running' });
    assert.deepEqual(line('-----------------------]'), { name: 'smoke', step: 'ended' });
    assert.deepEqual(line(' - - - - - - - - - - results - - - - - - - - - -'), {
      name: 'smoke',
      step: 'ended',
    });
    assert.equal(line('anything else'), undefined);
    assert.equal(stepOf('smoke                PASS'), undefined);
  });
});
