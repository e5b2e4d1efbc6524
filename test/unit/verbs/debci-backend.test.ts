/** `debci install` on a disk that fails in the middle; the rest is in test/real/verbs/debci.test.ts. */
import assert from 'node:assert/strict';
import fs, { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installBackend } from '../../../src/verbs/debci-backend.ts';

describe('debci install', () => {
  const { renameSync } = fs;
  let debci: string;
  beforeEach(() => {
    debci = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-debci-'));
    mkdirSync(join(debci, 'backends'));
  });
  afterEach(() => {
    fs.renameSync = renameSync;
    syncBuiltinESMExports();
    rmSync(debci, { recursive: true });
  });

  it('puts the old backend back when the new one cannot get its name', () => {
    const backend = installBackend(debci);
    writeFileSync(join(backend, 'of-the-old-one'), '');
    fs.renameSync = (from, to) => {
      if (String(from).endsWith('/new')) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
      renameSync(from, to);
    };
    syncBuiltinESMExports();
    assert.throws(() => installBackend(debci), { code: 'CANNOT_WRITE', message: /no space left/ });
    assert.ok(existsSync(join(backend, 'of-the-old-one')));
    assert.deepEqual(readdirSync(join(debci, 'backends')), ['ts_unshare']);
  });
});
