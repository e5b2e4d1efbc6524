import assert from 'node:assert/strict';
import { useFakeTimers } from 'sinon';
import { lookOf, progressLine, startProgress } from '../../src/progress-line.ts';

const PLAIN = { unicode: false, colour: false };

describe('the progress line', () => {
  it('appears after a second, and is removed', () => {
    const clock = useFakeTimers();
    try {
      const shown: string[] = [];
      const show = (line: string) => void shown.push(line);
      const quick = startProgress('quick', { show });
      clock.tick(900);
      quick.done();
      assert.deepEqual(shown, []);
      const slow = startProgress('slow', { show, fraction: () => 0.5 });
      clock.tick(1000);
      assert.equal(shown.length, 1);
      assert.match(shown[0] ?? '', /^slow .*50 % {2}1 s$/);
      slow.done();
      clock.tick(5000);
      assert.deepEqual(shown.slice(1), ['']);
    } finally {
      clock.restore();
    }
  });

  it('is a few plain lines where there is no terminal', () => {
    const term = process.env.TERM;
    const clock = useFakeTimers();
    try {
      const lines: string[] = [];
      const log = { warn: (line: string) => void lines.push(line) };
      const show = undefined;
      // Also where the tests have a terminal.
      process.env.TERM = 'dumb';
      const quick = startProgress('quick', { log, show });
      clock.tick(9000);
      quick.done();
      const slow = startProgress('building x', { log, show, plain: 'building x by y', fraction: () => 0.25 });
      clock.tick(130_000);
      slow.done();
      clock.tick(600_000);
      assert.deepEqual(lines, ['building x by y', 'building x:  25 %, 1 min', 'building x:  25 %, 2 min']);
    } finally {
      if (term === undefined) delete process.env.TERM;
      else process.env.TERM = term;
      clock.restore();
    }
  });

  it('has a bar where the end is known', () => {
    const at = (columns: number, fraction: number, more = PLAIN) =>
      progressLine({ what: 'unpacking trixie-amd64.tar.zst', elapsed: 3400, fraction }, { columns, ...more });
    assert.equal(at(80, 0.5), 'unpacking trixie-amd64.tar.zst [############------------]   50 %  3 s');
    assert.equal(at(80, 1), 'unpacking trixie-amd64.tar.zst [########################]  100 %  3 s');
    assert.equal(at(50, 0.25), 'unpacking tri... [####--------------]   25 %  3 s');
    assert.equal(at(30, 0.25), 'unpacking trix...   25 %  3 s');
    assert.equal(at(12, 0.25), '25 %  3 s');
    assert.equal(at(5, 0.25).length, 4);
    assert.equal(at(1, 0.25), '');
    const rich = { unicode: true, colour: true };
    assert.ok(
      at(80, 0.5, rich).includes(` \x1b[36m${'━'.repeat(12)}\x1b[0m\x1b[2m${'─'.repeat(12)}\x1b[0m `),
    );
    assert.match(at(40, 0.5, { ...rich, colour: false }), /^unpacking trixi… {2}━+─+ {4}50 % {2}3 s$/);
  });

  it('fits the terminal and shows no control characters', () => {
    for (let columns = 1; columns < 100; columns += 1) {
      for (const fraction of [undefined, 0.3]) {
        const line = progressLine(
          { what: `building ${'y'.repeat(60)}`, elapsed: 61_000, fraction, note: 'a note' },
          { columns, ...PLAIN },
        );
        assert.ok(line.length < columns || line === '', `${columns}: ${line}`);
      }
    }
    const state = { what: 'building x', elapsed: 61_000, note: 'a\x1b[2Jb' };
    assert.equal(progressLine(state), 'building x  61 s  a?[2Jb');
  });

  it('looks as the environment asks', () => {
    assert.deepEqual(lookOf({ LANG: 'de_DE.UTF-8' }), { unicode: true, colour: true });
    assert.deepEqual(lookOf({ LANG: 'C.UTF-8', LC_ALL: 'C', NO_COLOR: '1' }), PLAIN);
    assert.deepEqual(lookOf({ LC_CTYPE: 'en_US.utf8', NO_COLOR: '' }), { unicode: true, colour: true });
  });
});
