import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TargetFile } from '../../../src/copy/target-file.ts';

describe('the file that a copy is written to', () => {
  it('tells why it takes no more from the very moment on, and is taken back', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    try {
      const target = new TargetFile(Buffer.from(join(folder, 'file')));
      target.begin(false);
      target.stream.write('x');
      target.stream.destroy(new Error('the disk broke'));
      assert.match(target.failure().message, /writing on the host failed: the disk broke$/);
      assert.equal(await target.abandon(), '');
      assert.equal(existsSync(join(folder, 'file')), false);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
