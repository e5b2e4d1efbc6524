/** Testbed.open with a signal that is aborted: the reason comes back, and nothing of the testbed is left. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { closeAll, Testbed } from '../../../src/index.ts';
import { registered } from '../../../src/processes/open-testbeds.ts';
import { processTree, stillThere, untilGone, untilRuns } from '../../support/processes.ts';
import { testTarball } from '../../support/rootfs.ts';

describe('an abort of Testbed.open', function () {
  this.timeout(60_000);
  const reason = new Error('not needed any more');
  const isReason = (error: unknown) => error === reason;
  after(() => closeAll());

  it('before it begins makes nothing', async () => {
    const signal = AbortSignal.abort(reason);
    await assert.rejects(Testbed.open({ rootfs: testTarball(), hostname: 'never-begun', signal }), isReason);
  });

  it('ends the build of a root filesystem, and removes what it has written', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-abort-'));
    const script = `#!/bin/sh
      for word; do case $word in *.tar*) uname >"$word" ;; esac; done
      exec sleep 1003`;
    writeFileSync(join(folder, 'mmdebstrap'), script, { mode: 0o755 });
    const { PATH, XDG_CACHE_HOME } = process.env;
    Object.assign(process.env, { PATH: `${folder}:${PATH}`, XDG_CACHE_HOME: folder });
    try {
      const ending = new AbortController();
      const opening = Testbed.open({ release: 'sid', signal: ending.signal });
      await Promise.race([untilRuns('sleep 1003', process.pid), opening]);
      const made = processTree(process.pid).filter(({ command }) => command === 'sleep 1003');
      assert.equal(made.length, 1);
      ending.abort(reason);
      await assert.rejects(opening, isReason);
      assert.deepEqual(stillThere(made), []);
      assert.deepEqual(readdirSync(join(folder, 'virt-ts-unshare/images')), []);
    } finally {
      Object.assign(process.env, { PATH });
      if (XDG_CACHE_HOME === undefined) delete process.env.XDG_CACHE_HOME;
      else process.env.XDG_CACHE_HOME = XDG_CACHE_HOME;
      rmSync(folder, { recursive: true });
    }
  });

  it('ends a program that hangs while it connects the network', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-abort-'));
    chmodSync(folder, 0o755);
    writeFileSync(join(folder, 'pasta'), '#!/bin/sh\nexec sleep 1004', { mode: 0o755 });
    const { PATH } = process.env;
    Object.assign(process.env, { PATH: `${folder}:${PATH}` });
    try {
      const ending = new AbortController();
      const options = { rootfs: testTarball(), network: 'private', init: false } as const;
      const opening = Testbed.open({ ...options, signal: ending.signal });
      await Promise.race([untilRuns('sleep 1004', process.pid), opening]);
      const made = processTree(process.pid).filter(({ command }) => command === 'sleep 1004');
      assert.equal(made.length, 1);
      ending.abort(reason);
      await assert.rejects(opening, isReason);
      await untilGone(made);
    } finally {
      Object.assign(process.env, { PATH });
      rmSync(folder, { recursive: true });
    }
  });

  it('leaves the other testbeds with the same options alone', async () => {
    const options = { rootfs: testTarball(), hostname: 'not-aborted' };
    const names = () =>
      registered(process.env)
        .filter(({ owner, name }) => owner === process.pid && name.startsWith(options.hostname))
        .map(({ name }) => name);
    const ending = new AbortController();
    const both = [Testbed.open(options), Testbed.open({ ...options, signal: ending.signal })] as const;
    ending.abort(reason);
    await assert.rejects(both[1], isReason);
    await using first = await both[0];
    for (const milliseconds of [0, 2, 5, 10, 20]) {
      const later = new AbortController();
      const opening = Testbed.open({ ...options, signal: later.signal });
      const settled = opening.then(
        (testbed) => testbed.close(),
        (error: unknown) => assert.equal(error, reason),
      );
      await delay(milliseconds);
      later.abort(reason);
      await settled;
      assert.deepEqual(names(), ['not-aborted']);
    }
    assert.equal((await first.run('hostname')).stdout, 'not-aborted\n');
    await using snapshot = await first.snapshot();
    await assert.rejects(Testbed.open({ from: snapshot, signal: AbortSignal.abort(reason) }), isReason);
    await using fork = await Testbed.open({ from: snapshot, signal: new AbortController().signal });
    assert.equal(fork.name, 'not-aborted-2');
  });
});
