import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { TestbedError } from '../../src/errors.ts';
import { briefWords, runHost, spawnHost } from '../../src/host.ts';
import { silentLog } from '../../src/log.ts';

const failure = (code: string, remedy: RegExp) => (error: unknown) =>
  error instanceof TestbedError && error.code === code && remedy.test(error.remedy ?? '');

describe('a host program that cannot be started', () => {
  it('is missing: it is to be installed', async () => {
    const missing = failure('NO_PROGRAM', /install/);
    await assert.rejects(spawnHost(['no-such-program'], silentLog), missing);
    await assert.rejects(runHost(['no-such-program'], silentLog), missing);
  });

  it('may not be executed', async () => {
    await assert.rejects(spawnHost(['/etc/passwd'], silentLog), failure('CANNOT_START', /executable/));
  });

  it('finds no free descriptor: the limit is to be raised', async () => {
    // What Node loads at the first use needs descriptors too.
    await (await spawnHost(['true'], silentLog)).exited;
    await runHost(['true'], silentLog);
    const limit = (value: string) => execFileSync('prlimit', [`--pid=${process.pid}`, `--nofile=${value}`]);
    const before = execFileSync('prlimit', [
      ...[`--pid=${process.pid}`, '--nofile', '--noheadings', '--raw', '--output=SOFT,HARD'],
    ]);
    const [soft, hard] = before.toString().trim().split(/\s+/);
    const opened: number[] = [];
    limit(`200:${hard}`);
    try {
      for (;;) opened.push(openSync('/dev/null', 'r'));
    } catch {
      const started = spawnHost(['true'], silentLog, { stdio: ['pipe', 'pipe', 'pipe'] });
      await assert.rejects(started, failure('CANNOT_START', /ulimit -n/));
      // With a few left, a process without pipes could be started.
      for (const descriptor of opened.splice(-4)) closeSync(descriptor);
      await assert.rejects(runHost(['true'], silentLog), failure('CANNOT_START', /ulimit -n/));
    } finally {
      for (const fd of opened) closeSync(fd);
      limit(`${soft}:${hard}`);
    }
  });
});

describe('the words of a tool', () => {
  it('are one line of at most three, without control characters', () => {
    assert.equal(briefWords('a\x1b[31m\n\n b\nc\nd\n'), 'a?[31m b c …');
    assert.equal(briefWords(' \n'), '');
  });
});
