import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const log = fileURLToPath(new URL('../../src/log.ts', import.meta.url));

describe('the log on a pipe that is full', function () {
  this.timeout(30_000);
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('keeps lines until they are read, whole and in order', async () => {
    const path = join(folder, 'fifo');
    execFileSync('mkfifo', [path]);
    const reader = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    const writer = openSync(path, constants.O_WRONLY);
    const filler = 'x'.repeat(4096);
    try {
      assert.throws(() => {
        for (;;) writeSync(reader, filler);
      }, /EAGAIN/);
      // Node would wait for ever in the first line if it blocked.
      const program = `
        const { createLog } = await import(${JSON.stringify(log)});
        for (let line = 1; line <= 100; line += 1) createLog().warn('line ' + line);
        process.stdout.write('written');
        await new Promise((resolve) => process.stdin.once('end', resolve).resume());`;
      const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
        stdio: ['pipe', 'pipe', writer],
      });
      const [chunk] = await once(child.stdout ?? assert.fail(), 'data');
      assert.equal(String(chunk), 'written');
      let text = '';
      const buffer = Buffer.alloc(65536);
      while (!text.includes('line 100\n')) {
        try {
          text += buffer.toString('latin1', 0, readSync(reader, buffer));
        } catch {
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }
      const lines = text
        .replaceAll(/x{4096}/g, '')
        .trimEnd()
        .split('\n');
      assert.deepEqual(
        lines,
        Array.from({ length: 100 }, (_, index) => `virt-ts-unshare: line ${index + 1}`),
      );
      child.stdin?.end();
      assert.deepEqual(await once(child, 'exit'), [0, null]);
    } finally {
      closeSync(writer);
      closeSync(reader);
    }
  });
});
