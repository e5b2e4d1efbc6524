import assert from 'node:assert/strict';
import { showSize, showTable, showTime } from '../../../src/verbs/figures.ts';

describe('figures for people', () => {
  it('are sizes in units of 1024', () => {
    assert.deepEqual([0, 1023, 1024, 10 * 1024, 164_574_720, 2 ** 40 * 2000].map(showSize), [
      ...['0', '1023', '1.0K', '10K', '157M', '2000T'],
    ]);
  });

  it('are times', () => {
    assert.equal(showTime(new Date(2026, 0, 2, 3, 4).getTime()), '2026-01-02 03:04');
  });

  it('stand in columns', () => {
    assert.equal(
      showTable(
        ['A', 'B'],
        [
          ['long', 'x'],
          ['s', ''],
        ],
      ),
      'A     B\nlong  x\ns\n',
    );
  });
});
