/** Published issues of other tools that docs/comparison.md names: what they describe does not happen here. */
import assert from 'node:assert/strict';
import { processTree, untilRuns } from '../../support/processes.ts';
import { call, PROGRAM } from '../../support/program.ts';
import { projectDir, testTarball } from '../../support/rootfs.ts';
import { Server } from '../../support/server.ts';

const run = (...command: readonly string[]) => ['run', '--tarball', testTarball(), '--', ...command];
const BUBBLEWRAP = ['bwrap', '--unshare-pid', '--dev-bind', '/', '/', '--'] as const;

describe('what published issues of other tools describe does not happen here', function () {
  this.timeout(60_000);

  it('bubblewrap 633: no process is left when the program is killed during its start', async () => {
    for (const count of [1, 2, 3, 5, 7]) {
      const program = Server.start({ argv: run('sleep', '1000') });
      // The first of them is perl, which is below this process.
      while (processTree(process.pid).length < count + 2) await new Promise(setImmediate);
      await program.kill('SIGKILL');
      await program.reaped;
    }
  });

  describe('bubblewrap 692: the program outlives the thread that started it', () => {
    const inThread = (...argv: readonly string[]) =>
      call([process.execPath, '--import', 'tsx', 'test/support/spawn-in-thread.ts', ...argv], {
        cwd: projectDir,
      });
    const SLOW = ['sh', '-c', 'echo started; sleep 0.3; echo survived'];

    it('as it does not with bwrap --die-with-parent', async () => {
      const { stdout } = await inThread('bwrap', '--die-with-parent', ...BUBBLEWRAP.slice(1), ...SLOW);
      assert.equal(stdout, 'started\n');
    });

    it('with this program', async () => {
      const { stdout, stderr } = await inThread(process.execPath, PROGRAM, ...run(...SLOW));
      assert.equal(stdout, 'started\nsurvived\n', stderr);
    });
  });

  describe('bubblewrap 697: no zombie is left to the init of a container', () => {
    const orphans = async (...argv: readonly string[]) =>
      (await call(['test/support/orphans.pl', ...argv], { cwd: projectDir })).stdout;

    it('as there is with bwrap --unshare-pid', async () => {
      assert.equal(await orphans(...BUBBLEWRAP, 'true'), 'orphans: 1\n');
    });

    it('with this program', async () => {
      assert.equal(await orphans(process.execPath, PROGRAM, ...run('true')), 'orphans: 0\n');
    });
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`bubblewrap 726: ${signal} ends a command that has a session of its own`, async () => {
      const program = Server.start({ argv: run('setsid', '--wait', 'sleep', '1001') });
      await untilRuns('sleep 1001', process.pid);
      await program.kill(signal);
      await program.reaped;
    });
  }
});
