import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type HostProcess, spawnHost } from '../../../src/host.ts';
import { silentLog } from '../../../src/log.ts';
import { isAlive, nameOf } from '../../../src/processes/identity.ts';
import { childrenOf } from '../../../src/processes/list.ts';
import { killable, wholeTree } from '../../../src/testbed/killing.ts';

describe('a SIGKILL for a process that has ended', () => {
  for (const [name, of] of Object.entries({
    'with all that it has started': (root: HostProcess) => wholeTree(root, silentLog),
    'of the host': (root: HostProcess) => killable(root, () => undefined, silentLog),
  })) {
    it(`does not reach another process that has its pid now (${name})`, async () => {
      const ended = await spawnHost(['true'], silentLog);
      await ended.exited;
      const other = spawn('sh', ['-c', 'sleep 1000 & echo up; wait'], {
        stdio: ['ignore', 'pipe', 'ignore'],
        detached: true,
      });
      const { pid = 0 } = other;
      await once(other.stdout, 'data');
      const states = [pid, ...childrenOf(pid)].map(nameOf);
      try {
        const root = of({ ...ended, pid });
        root.kill('SIGKILL');
        await root.exited;
        assert.deepEqual(states.map(isAlive), [true, true]);
      } finally {
        process.kill(-pid, 'SIGKILL');
        await once(other, 'exit');
      }
    });
  }
});
