/** What a copy may take of time and memory, and what it reports meanwhile. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { copyIn, copyOut } from '../../../src/copy/copy.ts';
import type { CopyOptions } from '../../../src/copy/types.ts';
import { CopyTimeoutError } from '../../../src/errors.ts';
import { type Log, silentLog } from '../../../src/log.ts';
import { fails, OPTIONS, useFolder } from './copying.ts';
import { HostTestbed } from './host-testbed.ts';

describe('copying', () => {
  const { path, bytes, down, up, withTar, withShell } = useFolder();

  describe('that takes too long', () => {
    const times: CopyOptions = { ...OPTIONS, timeout: 0.5 };

    for (const [what, text] of [
      ['writes nothing', 'exec sleep 1000'],
      ['ignores signals', 'trap "" TERM INT HUP; while :; do sleep 1000; done'],
      ['sends slowly without end', 'while :; do printf x; sleep 0.05; done'],
    ] as const) {
      it(`ends both ends of a testbed that ${what}`, async () => {
        const trees = withTar(text);
        const files = withShell(text);
        mkdirSync(path('from'));
        writeFileSync(path('from/file'), 'x'.repeat(3e6));
        await assert.rejects(copyOut(trees, bytes('from/'), bytes('to/'), times), CopyTimeoutError);
        await assert.rejects(copyIn(trees, bytes('from/'), bytes('to/'), times), CopyTimeoutError);
        await assert.rejects(copyOut(files, bytes('from/file'), bytes('one'), times), CopyTimeoutError);
        await assert.rejects(copyIn(files, bytes('from/file'), bytes('two'), times), CopyTimeoutError);
        assert.deepEqual([trees.started.length, files.started.length], [2, 4]);
        for (const { child } of [...trees.started, ...files.started])
          assert.equal(child.signalCode, 'SIGKILL');
        assert.equal(existsSync(path('one')), false);
        assert.deepEqual(
          readdirSync(path('')).filter((name) => name.startsWith('.')),
          [],
        );
      });
    }

    it('ends what waits for a fifo', async () => {
      execFileSync('mkfifo', [path('fifo')]);
      writeFileSync(path('file'), 'x');
      const testbed = new HostTestbed();
      await assert.rejects(copyIn(testbed, bytes('file'), bytes('fifo'), times), CopyTimeoutError);
      for (const { child } of testbed.started) assert.equal(child.signalCode, 'SIGKILL');
      assert.deepEqual(readdirSync(path('')).sort(), ['fifo', 'file']);
    });

    it('ends when its caller aborts it', async () => {
      const testbed = withTar('exec sleep 1000');
      mkdirSync(path('from'));
      const controller = new AbortController();
      const copy = copyOut(testbed, bytes('from/'), bytes('to/'), { ...OPTIONS, signal: controller.signal });
      controller.abort();
      await fails(copy, 'ABORTED');
    });
  });

  it('holds little of a large copy to a slow end', async () => {
    mkdirSync(path('from'));
    // It needs no room on the disk, and is sent as data.
    writeFileSync(path('from/large'), '');
    truncateSync(path('from/large'), 1e9);
    const testbed = withTar(`case "$*" in *-x*) exec dd of=/dev/null bs=64k status=none ;; esac
export PATH=/usr/bin:/bin; exec tar -c -f - .`);
    let most = 0;
    const before = process.memoryUsage().rss;
    const timer = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss);
    }, 5);
    try {
      await copyIn(testbed, bytes('from/'), bytes('to/'), OPTIONS);
      await copyIn(testbed, bytes('from/large'), Buffer.from('/dev/null'), OPTIONS);
      await copyOut(testbed, bytes('from/large'), Buffer.from('/dev/null'), OPTIONS);
    } finally {
      clearInterval(timer);
    }
    assert.ok(most > 0 && most - before < 100e6, `${(most - before) / 1e6} MB more`);
  });

  it('reports its progress, and warns of nothing', async () => {
    mkdirSync(path('from'));
    for (const name of ['a', 'b']) writeFileSync(path(`from/${name}`), 'x'.repeat(1000));
    const seen: [number, number][] = [];
    const warnings: string[] = [];
    const log: Log = { ...silentLog, warn: (message) => void warnings.push(message) };
    const options: CopyOptions = {
      ...OPTIONS,
      log,
      progress: (done, files) => void seen.push([done, files]),
    };
    await up('from/', 'to/', options);
    await down('from/', 'to2/', options);
    await up('from/a', 'one', options);
    assert.deepEqual(seen, [
      [2000, 3],
      [2000, 3],
      [1000, 1],
    ]);
    assert.deepEqual(warnings, []);
    renameSync(path('to'), path('to3'));
  });
});
