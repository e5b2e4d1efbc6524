import assert from 'node:assert/strict';
import { once } from 'node:events';
import { spawnHost } from '../../../src/host.ts';
import { silentLog } from '../../../src/log.ts';
import { endBuild } from '../../../src/rootfs/end-build.ts';
import { stillThere, untilRuns } from '../../support/processes.ts';

describe('the end of a command that builds a root filesystem', function () {
  this.timeout(30_000);

  it('comes by SIGKILL when the command ignores SIGTERM', async () => {
    const script = "trap '' TERM; sleep 3001 & echo begun; sleep 3002; sleep 3003";
    const child = await spawnHost(['sh', '-c', script], silentLog, {
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    });
    if (child.child.stdout !== null) await once(child.child.stdout, 'data');
    const processes = await untilRuns('sleep 3002', child.pid);
    await endBuild(child, 100);
    assert.deepEqual(stillThere(processes), []);
    assert.equal((await child.exited).signal, 'SIGKILL');
  });
});
