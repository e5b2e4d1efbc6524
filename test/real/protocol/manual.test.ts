import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { childrenOf } from '../../../src/processes/list.ts';
import { Marker } from '../../support/left.ts';
import { program } from '../../support/pipes.ts';
import { processTree, untilGoesOn, untilGone, untilRuns } from '../../support/processes.ts';
import { testTarball } from '../../support/rootfs.ts';
import { Terminal } from '../../support/terminal.ts';

const [CTRL_C, CTRL_D, CTRL_Z, TAB] = ['\x03', '\x04', '\x1a', '\t'];

const PROMPT = /virt-ts-unshare> /;
/** bash's or dash's, as root. */
const SHELL_PROMPT = /# $/;

describe('a manual session', function () {
  this.timeout(60_000);
  let folder: string;
  let marker: Marker;
  const sessions: Terminal[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    marker = new Marker();
  });
  afterEach(() => {
    for (const session of sessions.splice(0)) session.kill();
    rmSync(folder, { recursive: true });
    marker.remove();
  });
  const start = (...options: string[]) => {
    const argv = [program, '-t', testTarball(), ...marker.options, ...options];
    const env = { ...process.env, XDG_STATE_HOME: folder, TERM: 'xterm' };
    const terminal = new Terminal(argv, { env, cwd: folder, size: [43, 91] });
    sessions.push(terminal);
    return terminal;
  };
  const opened = async () => {
    const terminal = start();
    await terminal.see(PROMPT);
    terminal.type('open\r');
    await terminal.see(/ok \//);
    await terminal.see(PROMPT);
    return terminal;
  };

  it('prompts, answers, keeps going after a mistake, and ends with quit', async () => {
    const terminal = start();
    await terminal.see(/ok\r\n/);
    await terminal.see(PROMPT);
    terminal.type('frobnicate\r');
    await terminal.see(/unknown command 'frobnicate'/);
    await terminal.see(PROMPT);
    terminal.type('close\r');
    await terminal.see(/close when not open/);
    await terminal.see(PROMPT);
    terminal.type('open\r');
    await terminal.see(/ok \/\S+\r\n/);
    await terminal.see(PROMPT);
    for (const word of ['cwd=/absent', 'user=stranger']) {
      terminal.type(`command id ${word}\r`);
      await terminal.see(/cannot run id in the testbed: it has no \w+ \S+\r\n/);
      await terminal.see(PROMPT);
    }
    terminal.type('command sh,-c,echo%20said%20%24((1+1));exit%204\r');
    await terminal.see(/said 2\r\nok 4\r\n/);
    await terminal.see(PROMPT);
    terminal.type('quit\r');
    await terminal.see(/ok\r\n/);
    assert.equal(await terminal.ended(), 0);
    assert.deepEqual(marker.left(), []);
  });

  it('does all that was pasted before Ctrl-D', async () => {
    const terminal = start();
    await terminal.see(PROMPT);
    terminal.type(`capabilities\rhelp close\r${CTRL_D}`);
    await terminal.see(/ok revert .*remove the testbed/s);
    assert.equal(await terminal.ended(), 0);
  });

  it('helps, and completes names', async () => {
    const terminal = start();
    await terminal.see(PROMPT);
    terminal.type('help\r');
    await terminal.see(/print-execute-command +\S/);
    await terminal.see(PROMPT);
    // A tab within a paste would be text.
    terminal.type('help copyd');
    await terminal.see(/help copyd/);
    terminal.type(TAB);
    await terminal.see(/own /);
    terminal.type('\r');
    await terminal.see(/copydown HOST-PATH TESTBED-PATH/);
    await terminal.see(PROMPT);
    terminal.type('cap');
    await terminal.see(/cap/);
    terminal.type(TAB);
    await terminal.see(/abilities /);
    terminal.type('\r');
    await terminal.see(/ok revert /);
    await terminal.see(PROMPT);
    terminal.type(CTRL_D);
    assert.equal(await terminal.ended(), 0);
  });

  it('keeps what was typed for the next one', async () => {
    const first = start();
    await first.see(PROMPT);
    first.type('capabilities\r');
    await first.see(/ok revert/);
    await first.see(PROMPT);
    first.type(CTRL_D);
    await first.ended();
    const file = `${folder}/virt-ts-unshare/history`;
    assert.equal(readFileSync(file, 'utf8'), 'capabilities\n');
    assert.equal(statSync(file).mode & 0o077, 0);
    const second = start();
    await second.see(PROMPT);
    second.type('\x1b[A\r');
    await second.see(/ok revert/);
    await second.see(PROMPT);
    second.type(CTRL_D);
    assert.equal(await second.ended(), 0);
  });

  it('ends a command at Ctrl-C, then a half-typed line, and goes on', async () => {
    const terminal = await opened();
    terminal.type('command sh,-c,echo%20run$((1))ning;sleep%201000\r');
    await terminal.see(/run1ning\r\n/);
    terminal.type(CTRL_C);
    await terminal.see(/interrupted/);
    await terminal.see(PROMPT);
    assert.deepEqual(
      marker.left().filter((line) => line.includes('sleep 1000')),
      [],
    );
    terminal.type(`half a line${CTRL_C}`);
    await terminal.see(/\^C/);
    await terminal.see(PROMPT);
    terminal.type('close\r');
    await terminal.see(/ok\r\n/);
    await terminal.see(PROMPT);
    terminal.type(CTRL_D);
    assert.equal(await terminal.ended(), 0);
  });

  it('opens once the cause of a failed open is gone', async () => {
    // Preflight sees a directory that can be created, until it is.
    symlinkSync(`${folder}/target`, `${folder}/link`);
    const terminal = start('-u', `${folder}/link/scratch`);
    await terminal.see(PROMPT);
    for (const _ of [1, 2]) {
      terminal.type('open\r');
      await terminal.see(/the testbed is closed/);
      await terminal.see(PROMPT);
    }
    mkdirSync(`${folder}/target`);
    terminal.type('open\r');
    await terminal.see(/ok \/\S+\r\n/);
    await terminal.see(PROMPT);
    terminal.type(CTRL_D);
    assert.equal(await terminal.ended(), 0);
    assert.deepEqual(marker.left(), []);
  });

  it('ends as by Ctrl-D when its terminal is closed', async () => {
    const events = join(folder, 'events');
    const terminal = start(`--events=${events}`);
    await terminal.see(PROMPT);
    terminal.type('open\r');
    await terminal.see(/ok \//);
    await terminal.see(PROMPT);
    const processes = childrenOf(terminal.pid).flatMap(processTree);
    terminal.kill();
    await untilGone(processes);
    assert.match(readFileSync(events, 'utf8'), /"event":"close".*"event":"end".*\n$/s);
    assert.deepEqual(marker.left(), []);
  });

  it('ends at a signal during a command, without an internal error', async () => {
    const terminal = await opened();
    const [session = 0] = childrenOf(terminal.pid);
    terminal.type('command sleep,1000\r');
    await untilRuns('sleep 1000', session);
    process.kill(session, 'SIGTERM');
    await terminal.ended();
    assert.doesNotMatch(terminal.shown, /internal error/);
    assert.deepEqual(marker.left(), []);
  });

  it('ends at Ctrl-D with the testbed gone', async () => {
    const terminal = await opened();
    terminal.type(CTRL_D);
    assert.equal(await terminal.ended(), 0);
    assert.deepEqual(marker.left(), []);
  });

  it('has a shell in / without words, and ends with exit', async () => {
    const terminal = await opened();
    terminal.type('shell\r');
    await terminal.see(SHELL_PROMPT);
    terminal.type('echo "<$PWD>"; exit\r');
    await terminal.see(/<\/>\r\n/);
    await terminal.see(PROMPT);
    terminal.type('exit\r');
    assert.equal(await terminal.ended(), 0);
    assert.deepEqual(marker.left(), []);
  });

  it('shows no prompt in a shell whose terminal gets another size', async () => {
    const terminal = await opened();
    terminal.type('shell\r');
    await terminal.see(SHELL_PROMPT);
    const before = terminal.shown.length;
    const [session] = childrenOf(terminal.pid);
    execFileSync('stty', ['-F', readlinkSync(`/proc/${session}/fd/0`), 'rows', '50', 'cols', '100']);
    terminal.type('until [ "$(stty size)" = "50 100" ]; do :; done; echo res""ized; exit\r');
    await terminal.see(/resized\r\n/);
    const end = terminal.shown.indexOf('resized\r\n', before);
    assert.doesNotMatch(terminal.shown.slice(before, end), PROMPT);
    await terminal.see(PROMPT);
    terminal.type(CTRL_D);
    assert.equal(await terminal.ended(), 0);
  });

  it('has a shell with job control, and the terminal back after it', async () => {
    const terminal = await opened();
    terminal.type('shell /usr MARK=a%20b\r');
    await terminal.see(SHELL_PROMPT);
    terminal.type('stty size; echo "<$MARK> $(pwd)"\r');
    await terminal.see(/43 91\r\n<a b> \/usr\r\n/);
    await terminal.see(SHELL_PROMPT);
    terminal.type('sleep 1000\r');
    await untilRuns('sleep 1000', terminal.pid);
    terminal.type(CTRL_Z);
    await terminal.see(/Stopped/);
    await terminal.see(SHELL_PROMPT);
    terminal.type('fg\r');
    await terminal.see(/sleep 1000\r\n/);
    await untilGoesOn('sleep 1000', terminal.pid);
    terminal.type(CTRL_C);
    await terminal.see(SHELL_PROMPT);
    terminal.type('exit 7\r');
    await terminal.see(/\r\nok\r\n/);
    await terminal.see(PROMPT);
    terminal.type('command sh,-c,echo%20a$((1))fter;sleep%201000\r');
    await terminal.see(/a1fter\r\n/);
    // In the background it would not get this.
    terminal.type(CTRL_C);
    await terminal.see(/interrupted/);
    await terminal.see(PROMPT);
    terminal.type('quit\r');
    assert.equal(await terminal.ended(), 0);
    assert.deepEqual(marker.left(), []);
  });
});
