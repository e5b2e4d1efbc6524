import assert from 'node:assert/strict';
import { KEPT_LINES, LineLog, LONGEST_LINE } from '../../../src/library/line-log.ts';

const free = { pause: () => {}, resume: () => {} };

async function linesOf(...chunks: (string | Buffer)[]): Promise<string[]> {
  const log = new LineLog(free);
  for (const chunk of chunks) log.write(Buffer.from(chunk));
  log.end();
  const lines: string[] = [];
  for await (const line of log) lines.push(line);
  return lines;
}

describe('the lines of an output', () => {
  it('are whole, whatever the chunks, without their ends', async () => {
    assert.deepEqual(await linesOf('a', 'b\nc\r', '\n', '\nd'), ['ab', 'c', '', 'd']);
    assert.deepEqual(await linesOf('a\n'), ['a']);
    assert.deepEqual(await linesOf(), []);
  });

  it('have characters that came in two chunks, and U+FFFD for bytes that are no UTF-8', async () => {
    const euro = Buffer.from('€\n');
    assert.deepEqual(await linesOf(euro.subarray(0, 1), euro.subarray(1)), ['€']);
    assert.deepEqual(await linesOf(Buffer.from([0xff, 0x61, 0x0a])), ['\ufffda']);
  });

  it('come in parts when they are too long, between two characters', async () => {
    const text = `x${'€'.repeat(LONGEST_LINE)}`;
    const bytes = Buffer.from(`${text}\nshort\n`);
    const chunks = Array.from({ length: Math.ceil(bytes.length / 65_536) }, (_, i) =>
      bytes.subarray(i * 65_536, (i + 1) * 65_536),
    );
    const lines = await linesOf(...chunks);
    assert.equal(lines.length, 4);
    assert.equal(lines.at(-1), 'short');
    assert.ok(lines.slice(0, -1).join('') === text, 'the parts are not the line');
    for (const line of lines) assert.ok(Buffer.byteLength(line) < LONGEST_LINE + 4);
  });

  it('are kept for the next loop after a break, the oldest are dropped', async () => {
    const log = new LineLog(free);
    log.write(Buffer.from('one\ntwo\nthree\n'));
    for await (const line of log) if (line === 'one') break;
    for await (const line of log) {
      assert.equal(line, 'two');
      break;
    }
    const filler = `${'y'.repeat(999)}\n`;
    for (let i = 0; i < KEPT_LINES / 1000 + 10; i += 1) log.write(Buffer.from(filler));
    log.write(Buffer.from('last\n'));
    log.end();
    const rest: string[] = [];
    for await (const line of log) rest.push(line);
    assert.equal(rest.at(-1), 'last');
    assert.ok(!rest.includes('three'));
    const size = rest.join('\n').length;
    assert.ok(size <= KEPT_LINES && size > KEPT_LINES - 2000, `${size}`);
  });

  it('make the writer wait while a loop is slow, and lose none', async () => {
    let paused = 0;
    let resumed = 0;
    const flow = {
      pause: () => {
        paused += 1;
      },
      resume: () => {
        resumed += 1;
      },
    };
    const log = new LineLog(flow);
    const loop = log[Symbol.asyncIterator]();
    const first = loop.next();
    for (let i = 0; i < 6000; i += 1) log.write(Buffer.from(`${i} ${'z'.repeat(994)}\n`));
    assert.ok(paused > 0);
    log.end();
    assert.match((await first).value ?? '', /^0 /);
    let count = 1;
    resumed = 0;
    for (let next = await loop.next(); next.done !== true; next = await loop.next()) {
      assert.ok(next.value.startsWith(`${count} `), next.value.slice(0, 20));
      count += 1;
    }
    assert.equal(count, 6000);
    assert.ok(resumed > 0);
  });
});
