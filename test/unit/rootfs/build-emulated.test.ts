import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestbedError } from '../../../src/errors.ts';
import { silentLog } from '../../../src/log.ts';
import { packing } from '../../../src/rootfs/build-emulated.ts';

describe('the tarball of another architecture', () => {
  let folder: string;
  const { PATH } = process.env;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-packing-'));
    mkdirSync(join(folder, 'programs'));
  });
  afterEach(() => {
    process.env.PATH = PATH;
    rmSync(folder, { recursive: true });
  });

  it('for which there is no room fails with the words of zstd, not with those of what had to stop', async () => {
    const full = '#!/bin/sh\necho "zstd: No space left on device" >&2\nexit 1\n';
    writeFileSync(join(folder, 'programs/zstd'), full, { mode: 0o755 });
    process.env.PATH = `${join(folder, 'programs')}:${PATH}`;
    const stopped = async () => {
      throw new TestbedError('mmdebstrap ended with status 141', { code: 'BUILD_FAILED' });
    };
    await assert.rejects(packing(join(folder, 'a.tar.zst'), silentLog, stopped), /No space left on device/);
    const interrupted = async () => {
      throw new Error('enough');
    };
    await assert.rejects(packing(join(folder, 'a.tar.zst'), silentLog, interrupted), /^Error: enough$/);
  });
});
