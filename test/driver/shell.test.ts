/** --shell-fail and --shell of the real autopkgtest: a person at a terminal gets a working shell in the testbed. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { driverCommand, driverEnv, parseSummary, removeScratch } from '../support/autopkgtest.ts';
import { mockPackagesDir } from '../support/mock-packages.ts';
import { untilRuns } from '../support/processes.ts';
import { projectDir } from '../support/rootfs.ts';
import { describeWithUsers } from '../support/skip.ts';
import { Terminal } from '../support/terminal.ts';

describeWithUsers("autopkgtest's shell", function () {
  this.timeout('3m');
  let terminal: Terminal | undefined;
  afterEach(() => terminal?.kill());
  after(removeScratch);

  function driver(args: readonly string[]) {
    const { argv, outputDir } = driverCommand({ args });
    terminal = new Terminal(argv, { env: driverEnv(), cwd: projectDir, size: [33, 99] });
    return { terminal, outputDir };
  }

  it('--shell-fail opens one after a test that failed, and the run goes on after it', async () => {
    const { terminal, outputDir } = driver([
      '--no-built-binaries',
      '--shell-fail',
      '--skip-test=exit-3',
      '--skip-test=exit-254',
      '--skip-test=exit-255',
      `${mockPackagesDir}/fails`,
    ]);
    await terminal.waitFor(/running shell/);

    const answer = async (line: string) => (await terminal.ask(line)).output;
    assert.equal(await answer('id -u'), '0');
    assert.equal(await answer('stty size'), '33 99');
    // In the tree under test, with what the test itself had.
    assert.equal(await answer('cat debian/source/format'), '3.0 (native)');
    assert.equal(await answer('test -d "$AUTOPKGTEST_ARTIFACTS" && echo there'), 'there');
    assert.equal(await answer('[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo terminal'), 'terminal');

    // Job control: Ctrl-C ends the job, not the shell and not the driver.
    terminal.type('sleep 1000\n');
    await untilRuns('sleep 1000', terminal.pid);
    terminal.type('\x03');
    assert.equal((await terminal.ask(':')).statusBefore, 130);
    assert.match(await answer('sleep 1000 & jobs; kill %1'), /Running +sleep 1000/);

    terminal.type('exit 5\n');
    // Drivers differ in whether tests left out count as skipped, by 2.
    assert.equal(Number(await terminal.ended()) & ~2, 4, terminal.shown);
    const summary = parseSummary(readFileSync(`${outputDir}/summary`, 'utf8'));
    assert.deepEqual([summary['exit-1'], summary.passes], ['FAIL non-zero exit status 1', 'PASS']);
  });

  it('--shell opens one after a test that passed', async () => {
    const { terminal } = driver(['--no-built-binaries', '--shell', `${mockPackagesDir}/allow-stderr`]);
    await terminal.waitFor(/running shell/);
    assert.equal((await terminal.ask('id -u')).output, '0');
    // The end of the input ends the shell, as exit does.
    terminal.type('\x04');
    assert.equal(await terminal.ended(), 0, terminal.shown);
  });
});
