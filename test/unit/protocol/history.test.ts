import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../../src/log.ts';
import { addHistory, readHistory } from '../../../src/protocol/history.ts';

describe('the history of the interactive session', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-history-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('has the newest 1000 lines, and so has its file, which may be a link', () => {
    const [file, link] = [join(folder, 'history'), join(folder, 'link')];
    symlinkSync(file, link);
    assert.deepEqual(readHistory(link, silentLog), []);
    for (let i = 0; i < 1003; i += 1) addHistory(link, `line ${i}`, silentLog);
    const lines = readHistory(link, silentLog);
    assert.deepEqual([lines.length, lines[0], lines[999]], [1000, 'line 1002', 'line 3']);
    assert.equal(readFileSync(file, 'utf8'), `${[...lines].reverse().join('\n')}\n`);
  });
});
