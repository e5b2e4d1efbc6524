import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  isAlive,
  isAliveAnywhere,
  isProcessName,
  nameOf,
  ownIdentity,
  thisProcess,
} from '../../../src/processes/identity.ts';
import { commandLine } from '../../../src/processes/list.ts';
import { processState } from '../../../src/processes/stat.ts';
import { waitUntil } from '../../../src/wait.ts';

describe('the identity of a process', () => {
  it('is not that of another process with the same pid', () => {
    assert.ok(isAlive(thisProcess()));
    assert.ok(!isAlive({ ...thisProcess(), startTime: '1' }));
    assert.throws(() => nameOf(2 ** 22 + 1), { code: 'PROCESS_ENDED' });
  });

  it('ends with the process, though nothing has reaped it', async () => {
    // The shell becomes a program that never reaps its child.
    const parent = spawn('sh', ['-c', 'sleep 1000 & echo $!; exec sleep 1001'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [text] = await once(parent.stdout, 'data');
    const child = Number(String(text));
    try {
      assert.ok(await waitUntil(() => commandLine(parent.pid ?? 0) === 'sleep 1001', 10_000));
      process.kill(child, 'SIGKILL');
      assert.ok(await waitUntil(() => processState(child)?.state === 'Z', 10_000));
      assert.ok(!isAlive(nameOf(child)));
    } finally {
      parent.kill('SIGKILL');
      await once(parent, 'exit');
    }
  });

  it('is not that of an earlier boot, and in another pid namespace lasts as long as its file is new', () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    try {
      const path = join(folder, 'made');
      writeFileSync(path, '');
      assert.ok(isAliveAnywhere(ownIdentity(), path));
      assert.ok(!isAliveAnywhere({ ...ownIdentity(), boot: '00000000' }, path));
      assert.ok(!isAliveAnywhere({ ...ownIdentity(), startTime: '1' }, path));
      // Started days before this boot, as on a machine that runs for long.
      const foreign = { ...ownIdentity(), namespace: '1', startTime: '-100000000' };
      assert.ok(isAliveAnywhere(foreign, path));
      const twoDaysAgo = Date.now() / 1000 - 2 * 24 * 60 * 60;
      utimesSync(path, twoDaysAgo, twoDaysAgo);
      assert.ok(!isAliveAnywhere(foreign, path));
      // The time of day was set: it was started a moment ago.
      assert.ok(isAliveAnywhere({ ...foreign, startTime: ownIdentity().startTime }, path));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('is read from files of other processes only in its form', () => {
    assert.ok(isProcessName({ pid: 1, startTime: '2', more: true }));
    for (const wrong of [undefined, null, 1, {}, { pid: '1', startTime: '2' }, { pid: 1, startTime: 2 }]) {
      assert.ok(!isProcessName(wrong), JSON.stringify(wrong));
    }
  });
});
