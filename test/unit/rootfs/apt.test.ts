import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../../src/log.ts';
import { readAptIndexes } from '../../../src/rootfs/apt.ts';

describe('the package lists that apt downloads for the mirrors of the machine', () => {
  let folder: string;
  const { PATH } = process.env;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-apt-'));
  });
  afterEach(() => {
    process.env.PATH = PATH;
    rmSync(folder, { recursive: true });
  });

  it('are not waited for when the caller ends', async () => {
    const started = join(folder, 'started');
    execFileSync('mkfifo', [started]);
    const script = `#!/bin/sh\ncase "$*" in *update*) echo x >'${started}'; exec sleep 1000 ;; esac\n`;
    writeFileSync(join(folder, 'apt-get'), script, { mode: 0o755 });
    process.env.PATH = `${folder}:${PATH}`;
    const ending = new AbortController();
    const reading = readAptIndexes(silentLog, ending.signal);
    reading.catch(() => {});
    assert.equal(await readFile(started, 'utf8'), 'x\n');
    ending.abort();
    await assert.rejects(reading, { name: 'AbortError' });
  });
});
