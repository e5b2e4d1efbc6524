/** --shell-fail and --shell of the real autopkgtest: a person at a terminal gets a working shell in the testbed. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { driverCommand, driverEnv, parseSummary, removeScratch } from '../support/autopkgtest.ts';
import { mockPackagesDir } from '../support/mock-packages.ts';
import { projectDir } from '../support/rootfs.ts';
import { Terminal } from '../support/terminal.ts';

describe("autopkgtest's shell", function () {
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

    assert.equal(await terminal.ask('id -u'), '0');
    assert.equal(await terminal.ask('stty size'), '33 99');
    // In the tree under test, with what the test itself had.
    assert.equal(await terminal.ask('cat debian/source/format'), '3.0 (native)');
    assert.equal(await terminal.ask('test -d "$AUTOPKGTEST_ARTIFACTS" && echo there'), 'there');
    assert.equal(await terminal.ask('tty <&1 | sed s/[0-9]*$//'), '/dev/pts/');

    // Job control: Ctrl-C ends the job, not the shell and not the driver.
    const from = terminal.shown.length;
    terminal.type('echo be"fore"; sleep 1000\n');
    await terminal.waitFor(/\r\nbefore\r?\n/, from);
    terminal.type('\x03');
    assert.equal(await terminal.ask('echo "status $?"'), 'status 130');
    assert.match(await terminal.ask('sleep 1000 & jobs; kill %1'), /Running +sleep 1000/);

    terminal.type('exit 5\n');
    assert.equal(await terminal.ended(), 6, terminal.shown);
    const summary = parseSummary(readFileSync(`${outputDir}/summary`, 'utf8'));
    assert.deepEqual([summary['exit-1'], summary.passes], ['FAIL non-zero exit status 1', 'PASS']);
  });

  it('--shell opens one after a test that passed', async () => {
    const { terminal } = driver(['--no-built-binaries', '--shell', `${mockPackagesDir}/allow-stderr`]);
    await terminal.waitFor(/running shell/);
    assert.equal(await terminal.ask('id -u'), '0');
    // The end of the input ends the shell, as exit does.
    terminal.type('\x04');
    assert.equal(await terminal.ended(), 0, terminal.shown);
  });
});
