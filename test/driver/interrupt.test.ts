/** The driver is stopped in the middle of a test: everything ends, and nothing stays behind. */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { autopkgtest, driverCommand, driverEnv, removeScratch } from '../support/autopkgtest.ts';
import { mockPackagesDir } from '../support/mock-packages.ts';
import { type Process, processTree, stillThere } from '../support/processes.ts';
import { projectDir } from '../support/rootfs.ts';
import { Terminal } from '../support/terminal.ts';

const args = ['--no-built-binaries', '--test-name=too-long', `${mockPackagesDir}/slow`];
/** Printed by the test itself, once it runs in the testbed. */
const running = /^started\r?$/m;

/** Waits until they are all gone; the test's time limit is the bound. */
async function untilGone(processes: readonly Process[]): Promise<void> {
  while (stillThere(processes).length > 0) await delay(20);
}

describe('a driver stopped in the middle of a test', function () {
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

  for (const [name, signal] of [
    ['SIGTERM to the driver', 'SIGTERM'],
    ['SIGHUP to the driver', 'SIGHUP'],
  ] as const) {
    it(`${name} ends the test, the server and the testbed`, async () => {
      let told = false;
      const run = await autopkgtest({
        args,
        onOutput(log, driver) {
          if (told || !running.test(log) || driver.pid === undefined) return;
          told = true;
          tree = processTree(driver.pid);
          driver.kill(signal);
        },
      });
      assert.ok(
        tree.some(({ command }) => command === 'sleep 1000'),
        run.log,
      );
      assert.equal(run.signal, signal, run.log);
      await untilGone(tree);
    });
  }

  it('SIGKILL to the driver ends them too', async () => {
    let told = false;
    const run = await autopkgtest({
      args,
      onOutput(log, driver) {
        if (told || !running.test(log) || driver.pid === undefined) return;
        told = true;
        tree = processTree(driver.pid);
        driver.kill('SIGKILL');
      },
    });
    assert.equal(run.signal, 'SIGKILL', run.log);
    await untilGone(tree);
  });

  it('Ctrl-C at the terminal ends them', async () => {
    const { argv } = driverCommand({ args });
    terminal = new Terminal(argv, { env: driverEnv(), cwd: projectDir, size: [24, 80] });
    await terminal.waitFor(running);
    tree = processTree(terminal.pid);
    assert.ok(tree.some(({ command }) => command === 'sleep 1000'));
    terminal.type('\x03');
    assert.equal(await terminal.ended(), 130, terminal.shown);
    await untilGone(tree);
  });
});
