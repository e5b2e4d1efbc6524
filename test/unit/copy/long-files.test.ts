/** Single files that are long enough for their halves to be copied at once: up, and down from memory. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { copyIn, copyOut } from '../../../src/copy/copy.ts';
import { CopyTimeoutError } from '../../../src/errors.ts';
import { fails, OPTIONS, useFolder } from './copying.ts';
import { movers } from './host-testbed.ts';

/** The descriptors that are open on files whose path is like this, of all processes. */
function holders(pattern: string): string {
  const find = ['/proc', '-mindepth', '3', '-maxdepth', '3', '-path', '/proc/[0-9]*/fd/*', '-lname', pattern];
  // Processes that end meanwhile make its status 1.
  return spawnSync('find', find, { encoding: 'utf8' }).stdout;
}

const MIB = 1024 ** 2;
/** From these sizes on halves or mappings are used. */
const FIRST = { copy: 2 * MIB, 'copy -m': 4 * MIB };
const sizes = (first: number) => [first - 1, first, first + 1, first + 2, 41 * MIB + 12_345];

for (const mover of movers) {
  describe(`copying of long files by ${mover}`, function () {
    this.timeout(30_000);
    const { path, bytes, host, down, up, withShell } = useFolder('/dev/shm', mover);

    for (const size of sizes(FIRST[mover])) {
      it(`brings ${size} bytes up and down, to a file that is there too`, async () => {
        const content = randomFillSync(Buffer.alloc(size));
        writeFileSync(path('from'), content);
        writeFileSync(path('old'), Buffer.alloc(size + 5));
        const seen: number[] = [];
        const progress = (done: number): void => void seen.push(done);
        for (const copy of [up, down]) {
          for (const to of ['new', 'old']) {
            await copy('from', to, { ...OPTIONS, progress, maxBytes: size });
            assert.equal(seen.at(-1), size);
            assert.ok(readFileSync(path(to)).equals(content), to);
            writeFileSync(path(to), Buffer.alloc(size + 5));
          }
        }
        assert.ok(seen.every((done) => done >= 0 && done <= size));
        for (const copy of [copyIn, copyOut])
          await copy(host, bytes('from'), Buffer.from('/dev/null'), OPTIONS);
        await fails(up('from', 'longer', { ...OPTIONS, maxBytes: size - 1 }), 'TOO_MANY_BYTES');
        assert.equal(existsSync(path('longer')), false);
      });
    }

    // After the beginning of the second half, wherever that is: when it has come, neither half is complete.
    const AT = 1.3e9;
    /** A long file with one byte in it; and shell that makes it shorter once that byte has arrived. */
    function lengthy(from: string, to: string): string {
      const file = openSync(from, 'w');
      ftruncateSync(file, 2e9);
      writeSync(file, 'x', AT);
      closeSync(file);
      const come = `[ "$(tail -c +${AT + 1} ${to} 2>/dev/null | head -c 1 | tr -d '\\0')" = x ]`;
      return `until ${come}; do :; done; truncate -s 20M ${from}`;
    }

    it('fails when what it reads in the testbed becomes shorter', async () => {
      const cut = lengthy(path('from'), `${path('')}/.virt-ts-unshare-copy-*`);
      const testbed = withShell(`exec 4<"$4"; printf x >&3; ${cut}; read -r _ <&3`);
      await fails(copyOut(testbed, bytes('from'), bytes('to'), OPTIONS), 'SHORTER');
      assert.equal(existsSync(path('to')), false);
    });

    it('fails when what it reads on the host becomes shorter', async () => {
      const cut = lengthy(path('from'), path('to'));
      const testbed = withShell(`exec 4>"$4"; printf . >&3; ${cut}; read -r _ <&3`);
      await fails(copyIn(testbed, bytes('from'), bytes('to'), OPTIONS), 'SHORTER');
    });

    it('ends both halves when the process that copies them is killed', async () => {
      writeFileSync(path('from'), '');
      truncateSync(path('from'), 1e12);
      const copy = down('from', 'to');
      const failed = fails(copy, /status 137/);
      while ((statSync(path('to'), { throwIfNoEntry: false })?.size ?? 0) <= 5e11) await delay(1);
      process.kill(host.started.at(-1)?.pid ?? assert.fail(), 'SIGKILL');
      await failed;
      assert.equal(holders(`${path('')}*`), '');
    });

    it('ends both halves when it takes too long', async () => {
      writeFileSync(path('from'), '');
      truncateSync(path('from'), 1e12);
      for (const copy of [up, down]) {
        await assert.rejects(copy('from', 'to', { ...OPTIONS, timeout: 0.5 }), CopyTimeoutError);
        assert.equal(holders(`${path('')}*`), '');
        assert.equal(existsSync(path('to')), copy === down);
      }
    });
  });
}
