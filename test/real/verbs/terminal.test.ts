/** run, exec and shell as a person has them, in the job control of a shell. */
import assert from 'node:assert/strict';
import { PROGRAM } from '../../support/program.ts';
import { projectDir, testTarball } from '../../support/rootfs.ts';
import { Terminal } from '../../support/terminal.ts';
import { testProvider } from '../../support/testbed.ts';

const [CTRL_C, CTRL_Z] = ['\x03', '\x1a'];
const PROMPT = /ready> $/;

const WAYS = {
  run: `run --tarball ${testTarball()}`,
  exec: 'exec at-a-terminal',
};

describe('on a terminal', function () {
  this.timeout(60_000);
  const provider = testProvider({ hostname: 'at-a-terminal' });
  let terminal: Terminal;
  before(() => provider.open());
  after(() => provider.dispose());
  beforeEach(async () => {
    terminal = new Terminal(['bash', '--norc', '--noprofile', '-i'], {
      env: { ...process.env, TERM: 'dumb' },
      cwd: projectDir,
      size: [31, 97],
    });
    await terminal.see(/[#$] $/);
    terminal.type("PS1='rea''dy> '\r");
    await terminal.see(PROMPT);
  });
  afterEach(() => terminal.kill());

  /** Types a call of the program; `run` or `exec` with a shell script. */
  const call = (way: string, script: string, behind = '') =>
    terminal.type(`${process.execPath} ${PROGRAM} ${way} -- sh -c '${script}'${behind}\r`);

  for (const [verb, way] of Object.entries(WAYS)) {
    describe(verb, () => {
      it('stops at Ctrl-Z with its command, and goes on with fg', async () => {
        call(way, 'echo be""gun; read line; echo "got $line"; exit 7');
        await terminal.see(/begun\r\n/);
        terminal.type(CTRL_Z);
        await terminal.see(/Stopped.*\r\n/);
        await terminal.see(PROMPT);
        terminal.type('fg\r');
        await terminal.see(/sh -c.*\r\n/);
        terminal.type('word\r');
        await terminal.see(/got word\r\n/);
        await terminal.see(PROMPT);
        terminal.type('echo "status=$?" $(stty -a | grep -o -w -- -*echo)\r');
        await terminal.see(/status=7 echo\r\n/);
      });

      it('has the usual modes of a terminal when it starts in the background, and reads after fg', async () => {
        call(way, 'stty -a | grep -o -w -- -*icanon; read line; echo "got $line"', ' &');
        // The caller's shell reads a line meanwhile, for which it has other modes.
        await terminal.see(/[^-]icanon\r+\n/);
        terminal.type('fg\r');
        await terminal.see(/sh -c.*\r\n/);
        terminal.type('word\r');
        await terminal.see(/got word\r\n/);
        await terminal.see(PROMPT);
        terminal.type('echo "modes=$(stty -a | grep -o -w -- -*echo)"\r');
        await terminal.see(/modes=echo\r\n/);
      });

      it('leaves Ctrl-C to the command', async () => {
        call(way, 'trap "echo cleaned up; exit 9" INT; echo be""gun; while :; do sleep 0.05; done');
        await terminal.see(/begun\r\n/);
        terminal.type(CTRL_C);
        await terminal.see(/cleaned up\r\n/);
        await terminal.see(PROMPT);
        terminal.type('echo "status=$?"\r');
        await terminal.see(/status=9\r\n/);
      });

      it('stops in a pipeline too, and all of it ends at Ctrl-C', async () => {
        call(way, 'while :; do echo ti""ck; sleep 0.05; done', ' | cat');
        await terminal.see(/tick\r\n/);
        terminal.type(CTRL_Z);
        await terminal.see(/Stopped.*\r\n/);
        await terminal.see(PROMPT);
        // What is in the pipe has come when the shell answers.
        terminal.type('echo qu""iet\r');
        await terminal.see(/quiet\r\n/);
        await terminal.see(PROMPT);
        const silent = terminal.shown.length;
        terminal.type('echo st""ill\r');
        await terminal.see(/still\r\n/);
        assert.doesNotMatch(terminal.shown.slice(silent), /tick/);
        terminal.type('fg\r');
        await terminal.see(/tick\r\n/);
        terminal.type(CTRL_C);
        await terminal.see(PROMPT);
      });

      it('has a terminal of its own with the size of the window', async () => {
        call(
          way,
          'tty; stty size; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo thr""ee; echo >/dev/tty wr""itten',
        );
        await terminal.see(/\/dev\/pts\/0\r\n31 97\r\nthree\r\nwritten\r\n/);
      });

      it('cannot insert input into the terminal of the caller', async () => {
        // TIOCSTI, for each character; it may succeed, on the terminal of the command.
        const perl = 'ioctl(STDIN, 0x5412, $_) for split //, "echo pu\\x22\\x22shed\\n"; print "tr"."ied\\n"';
        terminal.type(`${process.execPath} ${PROGRAM} ${way} -- perl -e '${perl}'\r`);
        await terminal.see(/tried\r\n/);
        await terminal.see(PROMPT);
        terminal.type('echo ne""xt\r');
        await terminal.see(/next\r\n/);
        assert.doesNotMatch(terminal.shown, /pushed/);
      });
    });
  }
});
