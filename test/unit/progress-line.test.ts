import assert from 'node:assert/strict';
import { useFakeTimers } from 'sinon';
import { progressLine, startProgress } from '../../src/progress-line.ts';

describe('the progress line', () => {
  it('appears after a second, and is removed', () => {
    const clock = useFakeTimers();
    try {
      let written = '';
      const write = (text: string) => {
        written += text;
      };
      const quick = startProgress('quick', { write });
      clock.tick(900);
      quick.done();
      assert.equal(written, '');
      const slow = startProgress('slow', { write, fraction: () => 0.5, note: () => 'a note' });
      clock.tick(1000);
      assert.equal(written, '\r\x1b[Kslow ... 50 % (1 s) a note');
      slow.done();
      clock.tick(5000);
      assert.equal(written, '\r\x1b[Kslow ... 50 % (1 s) a note\r\x1b[K');
    } finally {
      clock.restore();
    }
  });

  it('fits a narrow terminal and shows no control characters', () => {
    assert.equal(progressLine('unpacking x', 2400, 0.505), 'unpacking x ... 50 % (2 s)');
    assert.equal(progressLine('building x', 61_000, undefined, 'a\x1b[2Jb'), 'building x ... (61 s) a?[2Jb');
    assert.equal(progressLine('y'.repeat(200), 0, undefined).length, 79);
  });
});
