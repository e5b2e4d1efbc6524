import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeLeak, reportLeaks } from '../../../src/leaks/report.ts';

describe('a leak', () => {
  it('is one line for a person', () => {
    assert.equal(
      describeLeak({ kind: 'file', path: '/tmp/x', type: 'link', uid: 5, gid: 5, size: 3 }),
      'link /tmp/x (uid 5)',
    );
    assert.equal(
      describeLeak({ kind: 'ipc', type: 'mqueue', id: '/q', uid: 0, size: 3 }),
      'POSIX message queue /q (uid 0)',
    );
    assert.equal(describeLeak({ kind: 'interface', name: 'eth0' }), 'network interface eth0');
    assert.equal(
      describeLeak({ kind: 'unit', name: 'x.service', state: 'failed' }),
      'unit x.service (failed)',
    );
  });

  it('is one of at most 1000 in a report, which counts the others', () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-leaks-'));
    const leaks = Array.from(
      { length: 1003 },
      (_, index) => ({ kind: 'interface', name: `i${index}` }) as const,
    );
    const last = { text: 'left at close: more count=3', json: '{"at":"close","kind":"more","count":3}' };
    try {
      for (const format of ['text', 'json'] as const) {
        const file = join(folder, format);
        reportLeaks(leaks, 'close', { format, file });
        const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
        assert.deepEqual([lines.length, lines.at(-1)], [1001, last[format]]);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
