/** The driver is stopped in the middle of a test: everything ends, and nothing stays behind. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  driverCommand,
  driverEnv,
  removeScratch,
  scratchDir,
  startAutopkgtest,
} from '../support/autopkgtest.ts';
import { mockPackagesDir } from '../support/mock-packages.ts';
import { type Process, stillThere, untilGone, untilRuns } from '../support/processes.ts';
import { projectDir } from '../support/rootfs.ts';
import { describeWithUsers } from '../support/skip.ts';
import { Terminal } from '../support/terminal.ts';

const args = ['--no-built-binaries', '--test-name=too-long', `${mockPackagesDir}/slow`];

describeWithUsers('a driver stopped in the middle of a test', function () {
  this.timeout('1m');
  let tree: Process[] = [];
  let terminal: Terminal | undefined;
  afterEach(() => {
    terminal?.kill();
    const left = stillThere(tree);
    for (const { pid } of left) process.kill(pid, 'SIGKILL');
    assert.deepEqual(left, []);
  });
  after(removeScratch);

  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGKILL'] as const) {
    it(`${signal} to the driver ends the test, the server and the testbed`, async () => {
      const temporary = join(scratchDir(), signal);
      mkdirSync(temporary);
      const { pid, ended } = startAutopkgtest({ args, env: { TMPDIR: temporary } });
      tree = await untilRuns('sleep 1000', pid);
      process.kill(pid, signal);
      const run = await ended;
      assert.equal(run.signal, signal, run.log);
      await untilGone(tree);
      // The driver (5.28) dies by the signal before it removes its own, with every backend.
      const left = readdirSync(temporary).filter((name) => !name.startsWith('autopkgtest-fifo.'));
      assert.deepEqual(left, []);
    });
  }

  it('Ctrl-C at the terminal ends them', async () => {
    const { argv } = driverCommand({ args });
    terminal = new Terminal(argv, { env: driverEnv(), cwd: projectDir, size: [24, 80] });
    tree = await untilRuns('sleep 1000', terminal.pid);
    terminal.type('\x03');
    assert.equal(await terminal.ended(), 130, terminal.shown);
    await untilGone(tree);
  });
});
