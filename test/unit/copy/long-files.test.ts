/** Single files that are long enough for their halves to be copied at once, on the way up. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { copyOut } from '../../../src/copy/copy.ts';
import { CopyTimeoutError } from '../../../src/errors.ts';
import { fails, OPTIONS, useFolder } from './copying.ts';

/** The descriptors that are open on files whose path is like this, of all processes. */
function holders(pattern: string): string {
  const find = ['/proc', '-mindepth', '3', '-maxdepth', '3', '-path', '/proc/[0-9]*/fd/*', '-lname', pattern];
  // Processes that end meanwhile make its status 1.
  return spawnSync('find', find, { encoding: 'utf8' }).stdout;
}

const MIB = 1024 ** 2;
const SIZES = [16 * MIB - 1, 16 * MIB, 16 * MIB + 1, 16 * MIB + 2, 41 * MIB + 12_345];

describe('copying of long files up', function () {
  this.timeout(30_000);
  const { path, bytes, host, up, withShell } = useFolder();

  for (const size of SIZES) {
    it(`brings ${size} bytes, to a file that is there too`, async () => {
      const content = randomFillSync(Buffer.alloc(size));
      writeFileSync(path('from'), content);
      writeFileSync(path('old'), Buffer.alloc(size + 5));
      const seen: number[] = [];
      const progress = (done: number): void => void seen.push(done);
      for (const to of ['new', 'old']) {
        await up('from', to, { ...OPTIONS, progress, maxBytes: size });
        assert.ok(readFileSync(path(to)).equals(content), to);
      }
      assert.equal(seen.at(-1), size);
      assert.ok(seen.every((done) => done >= 0 && done <= size));
      await copyOut(host, bytes('from'), Buffer.from('/dev/null'), OPTIONS);
      await fails(up('from', 'longer', { ...OPTIONS, maxBytes: size - 1 }), /more than \d+ bytes/);
      assert.equal(existsSync(path('longer')), false);
    });
  }

  it('fails when what it reads becomes shorter', async () => {
    writeFileSync(path('from'), '');
    truncateSync(path('from'), 2e9);
    // By the testbed, as soon as some of the second half has come.
    const testbed = withShell(`exec 4<"$4"; printf x >&3
until find "\${4%/*}" -name '.virt-ts-unshare-copy-*' -size +950000k | grep -q .; do :; done
truncate -s 20M "$4"; read -r _ <&3`);
    await fails(copyOut(testbed, bytes('from'), bytes('to'), OPTIONS), /became shorter while it was copied/);
    assert.equal(existsSync(path('to')), false);
  });

  it('ends both halves when it takes too long', async () => {
    writeFileSync(path('from'), '');
    truncateSync(path('from'), 1e12);
    const copy = copyOut(host, bytes('from'), bytes('to'), { ...OPTIONS, timeout: 0.5 });
    await assert.rejects(copy, CopyTimeoutError);
    assert.equal(holders(`${path('')}*`), '');
    assert.equal(existsSync(path('to')), false);
  });
});
