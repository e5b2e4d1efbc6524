import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { processTree, untilGone, untilRuns } from '../../support/processes.ts';
import { ended, PROGRAM, Terminal, virt } from '../../support/program.ts';
import { testTarball } from '../../support/rootfs.ts';
import { testProvider } from '../../support/testbed.ts';

const WAYS = {
  'run --host': ['run', '--host', '--require-isolation'],
  'run in a testbed': ['run', '--tarball', testTarball()],
};

describe('the end in the middle', function () {
  this.timeout(60_000);

  for (const [name, words] of Object.entries(WAYS)) {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'] as const) {
      it(`of ${name} by ${signal} ends everything`, async () => {
        const script = 'setsid sleep 4321 >/dev/null 2>&1 </dev/null & sleep 1234; exit 5';
        const child = spawn(process.execPath, [PROGRAM, ...words, '--', 'sh', '-c', script], {
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        const { pid } = child;
        assert.ok(pid !== undefined);
        const end = ended(child);
        await untilRuns('sleep 4321', pid);
        await untilRuns('sleep 1234', pid);
        const processes = processTree(pid);
        child.kill(signal);
        const { status } = await end;
        await untilGone(processes);
        assert.ok(status > 128, String(status));
      });
    }
  }

  describe('of exec', () => {
    const provider = testProvider({ hostname: 'ended-by-signals' });
    before(() => provider.open());
    after(() => provider.dispose());

    for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const) {
      it(`by ${signal} ends the command with all that it has started, and not the testbed`, async () => {
        const script = "trap '' HUP INT TERM; sleep 4322 & sleep 1235";
        const child = spawn(
          process.execPath,
          [PROGRAM, 'exec', 'ended-by-signals', '--', 'sh', '-c', script],
          {
            stdio: ['ignore', 'pipe', 'pipe'],
          },
        );
        const { pid } = child;
        assert.ok(pid !== undefined);
        const end = ended(child);
        await untilRuns('sleep 4322', pid);
        await untilRuns('sleep 1235', pid);
        const processes = processTree(pid);
        child.kill(signal);
        const { status } = await end;
        await untilGone(processes);
        assert.ok(status > 128, String(status));
        assert.equal((await virt(['exec', 'ended-by-signals', '--', 'true'])).status, 0);
      });
    }
  });

  it('of run --host by Ctrl-C is for the command to answer', async () => {
    const script = "trap 'echo cleaned up; exit 9' INT; echo beg''un; while :; do sleep 0.05; done";
    const terminal = new Terminal([PROGRAM, 'run', '--host', '--', 'sh', '-c', script]);
    await terminal.shows('begun');
    terminal.type('\x03');
    await terminal.shows('cleaned up');
    await terminal.shows('status=9');
    await terminal.close();
  });

  it('of run in a testbed by Ctrl-C ends it', async () => {
    const script = "echo beg''un; exec sleep 1234";
    const terminal = new Terminal([PROGRAM, ...WAYS['run in a testbed'], '--', 'sh', '-c', script]);
    await terminal.shows('begun');
    terminal.type('\x03');
    await terminal.shows('status=130');
    await terminal.close();
  });
});
