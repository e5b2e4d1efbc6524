import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sinon from 'sinon';
import { keepFresh } from '../../../src/processes/fresh.ts';

const DAY = 24 * 60 * 60 * 1000;

describe('files that systemd-tmpfiles may not remove', () => {
  let folder: string;
  let clock: sinon.SinonFakeTimers;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    clock = sinon.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'], now: Date.now() });
  });
  afterEach(() => {
    clock.restore();
    rmSync(folder, { recursive: true });
  });

  it('stay new, also beside one that is not there, until the end of the care', () => {
    const [missing = '', record = '', log = ''] = ['log.1', 'record.json', 'log'].map((name) =>
      join(folder, name),
    );
    const age = (path: string): number => Date.now() - statSync(path).mtimeMs;
    for (const path of [record, log]) {
      writeFileSync(path, '');
      utimesSync(path, 0, 0);
    }
    const stop = keepFresh(missing, record, log);
    clock.tick(20 * DAY);
    for (const path of [record, log]) assert.ok(age(path) < DAY, path);
    stop();
    clock.tick(20 * DAY);
    for (const path of [record, log]) assert.ok(age(path) >= 19 * DAY, path);
  });
});
