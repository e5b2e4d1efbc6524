import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BEFORE, BoundedLog, CURRENT } from '../../../src/verbs/bounded-log.ts';

describe('a bounded log', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-log-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const text = (name: string) => readFileSync(join(folder, name), 'latin1');

  it('keeps the last output in two files', () => {
    const log = new BoundedLog(folder, 4);
    log.write(Buffer.from('abcdefghij'));
    assert.deepEqual([text(BEFORE), text(CURRENT)], ['efgh', 'ij']);
  });

  it('does not fail without its directory, and goes on when that is there again', () => {
    const log = new BoundedLog(folder, 4);
    renameSync(folder, `${folder}.away`);
    log.write(Buffer.from('abcdef'));
    // Its file must not be closed: another file would have its number.
    log.write(Buffer.from('gh'));
    assert.equal(readFileSync(join(`${folder}.away`, CURRENT), 'latin1'), 'abcd');
    rmSync(`${folder}.away`, { recursive: true });
    mkdirSync(folder);
    log.write(Buffer.from('ij'));
    assert.deepEqual([readdirSync(folder), text(CURRENT)], [[CURRENT], 'ij']);
  });
});
