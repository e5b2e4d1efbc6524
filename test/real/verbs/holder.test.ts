import assert from 'node:assert/strict';
import { firstLine, spawnHost } from '../../../src/host.ts';
import { silentLog } from '../../../src/log.ts';
import { openCache } from '../../../src/rootfs/cache.ts';
import { withHolder } from '../../../src/verbs/rootfs-call.ts';

describe('work in a holder of a verb', function () {
  this.timeout(60_000);

  it('ends with its processes at an abort', async () => {
    const ending = new AbortController();
    const call = { cache: openCache(process.env), log: silentLog, signal: ending.signal };
    let status: number | undefined;
    const work = withHolder(call, async (holder) => {
      const argv = holder.enter(['sh', '-c', 'echo begun; exec sleep 1000']);
      const started = await spawnHost(argv, silentLog, { stdio: ['ignore', 'pipe', 2] });
      await firstLine(started.child.stdout);
      ending.abort(new Error('enough'));
      ({ status } = await started.exited);
      throw new Error('sleep was killed');
    });
    await assert.rejects(work, /^Error: enough$/);
    assert.equal(status, 137);
  });
});
