import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OpenTestbed } from '../../../src/testbed/types.ts';
import { call, PROGRAM, Terminal, virt } from '../../support/program.ts';
import { testTarball } from '../../support/rootfs.ts';
import { itWithUsers } from '../../support/skip.ts';
import { testProvider } from '../../support/testbed.ts';

const root = ['--tarball', testTarball()];
const leaks = (stderr: string) =>
  [...stderr.matchAll(/^virt-ts-unshare: left behind: (.*)$/gm)].map(([, what]) => what);

describe('run in a testbed', function () {
  this.timeout(60_000);

  it('passes input, output and status through', async () => {
    const { stdout, stderr, status } = await virt(
      ['run', ...root, '--', 'sh', '-c', 'cat; pwd; id -u; echo err >&2; exit 7'],
      { input: 'in\n' },
    );
    assert.deepEqual([stdout, stderr, status], ['in\n/\n0\n', 'err\n', 7]);
  });

  itWithUsers('takes a user, a directory and variables', async () => {
    const place = ['--user', 'nobody', '--cwd=/usr', '--env', 'A=b c'];
    const { stdout } = await virt(['run', ...root, ...place, '--', 'sh', '-c', 'id -un; pwd; echo "$A"']);
    assert.equal(stdout, 'nobody\n/usr\nb c\n');
  });

  it('lets the command of any user open its /dev/stdout and /dev/stderr in a pipeline', async () => {
    const words = [
      'run',
      ...root,
      '--user',
      'nobody',
      '--',
      'sh',
      '-c',
      'echo out >/dev/stdout; echo err >/dev/stderr',
    ];
    const { stdout } = await call([
      'sh',
      '-c',
      '"$@" 2>&1 | cat',
      'pipeline',
      process.execPath,
      PROGRAM,
      ...words,
    ]);
    assert.equal(stdout, 'out\nerr\n');
  });

  it('gives the command the soft limit of open files that its caller has, which Node.js raises', async () => {
    const line = 'ulimit -Sn 321; "$@"; exit $?';
    const argv = [
      'bash',
      '-c',
      line,
      'limit',
      process.execPath,
      PROGRAM,
      'run',
      '--tarball',
      testTarball(),
    ] as const;
    const { stdout, stderr } = await call([...argv, '--', 'sh', '-c', 'ulimit -Sn; ulimit -Hn']);
    const hard = (await call(['bash', '-c', 'ulimit -Hn'])).stdout;
    assert.equal(stdout, `321\n${hard}`, stderr);
  });

  it('names what was left, and fails for it when asked to', async () => {
    const script = 'echo >/tmp/file; sleep 1234 >/dev/null 2>&1 </dev/null &';
    const run = await virt(['run', ...root, '--fail-on-leak', '--', 'sh', '-c', script]);
    const [file, process] = leaks(run.stderr);
    assert.equal(file, 'file /tmp/file (uid 0, 1 bytes)');
    assert.match(process ?? '', /^process \d+ \(uid 0\): sleep 1234$/);
    assert.equal(run.status, 1);
    const tidy = await virt(['run', ...root, '--fail-on-leak', '--', 'true']);
    assert.deepEqual([tidy.stderr, tidy.status], ['', 0]);
  });

  it('names what was ended for holding the output open, and fails for it when asked to', async () => {
    const run = await virt(['run', ...root, '--fail-on-leak', '--', 'sh', '-c', 'sleep 1234 & echo done']);
    assert.equal(run.stdout, 'done\n');
    const told =
      /^virt-ts-unshare: left behind, and ended for holding the output open: process \d+ \(uid 0\): sleep 1234\n$/;
    assert.match(run.stderr, told);
    assert.equal(run.status, 1);
    const not = await virt(['run', ...root, '--', 'sh', '-c', 'sleep 1234 & exit 7']);
    assert.match(not.stderr, told);
    assert.equal(not.status, 7);
  });

  it('reports in one sentence what the testbed lacks', async () => {
    for (const [words, sentence, wanted] of [
      [['--cwd', '/nowhere', '--', 'true'], /^virt-ts-unshare: .* it has no directory \/nowhere$/, 255],
      [['--user', 'stranger', '--', 'true'], /^virt-ts-unshare: .* it has no user stranger$/, 255],
      [['--cwd', '/etc', '--', 'no-such'], /^virt-ts-unshare: the testbed has no program no-such$/, 127],
    ] as const) {
      const { stderr, status } = await virt(['run', ...root, ...words]);
      assert.match(stderr.trimEnd(), sentence);
      assert.equal(status, wanted);
    }
  });

  itWithUsers('reports that a directory of the host is closed to it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    const { stderr, status } = await virt([
      'run',
      ...root,
      '--bind-ro',
      folder,
      '/x',
      '--cwd',
      '/x',
      '--',
      'true',
    ]);
    assert.match(stderr, /^virt-ts-unshare: .* may not enter the directory \/x; open it to others.*\n$/);
    assert.equal(status, 255);
    rmSync(folder, { recursive: true });
  });

  it('runs a shell without a command: with a prompt on a terminal, else of stdin', async () => {
    const terminal = new Terminal([PROGRAM, 'run', ...root, '--hostname', 'no-command']);
    await terminal.shows('root@no-command:/# ');
    terminal.type('exit 4\n');
    await terminal.shows('status=4');
    await terminal.close();
    const { stdout } = await virt(['run', ...root], { input: 'id -u\n' });
    assert.equal(stdout, '0\n');
  });

  it('names the root filesystem that is wrong', async () => {
    const { stderr, status } = await virt(['run', '--tarball', '/absent.tar', '--', 'true']);
    assert.match(stderr, /\/absent\.tar/);
    assert.equal(status, 2);
  });
});

describe('shell without a terminal', () => {
  it('reports that it needs one', async () => {
    const { stderr, status } = await call(['setsid', '--wait', process.execPath, PROGRAM, 'shell', ...root]);
    assert.match(stderr, /shell needs a terminal.*; use virt-ts-unshare run/);
    assert.equal(status, 2);
  });
});

describe('shell in a testbed', function () {
  this.timeout(60_000);
  let terminal: Terminal;
  afterEach(() => terminal.close());

  it('has job control, the window size and the exit status, and hands the terminal back', async () => {
    terminal = new Terminal([PROGRAM, 'shell', ...root, '--hostname', 'thrown-away']);
    await terminal.shows('root@thrown-away:~# ');
    terminal.type('stty size\n');
    await terminal.shows('31 97');
    await terminal.shows('# ');
    // exec: a shell that is stopped between its vfork(2) and execve(2) would wait for ever, anywhere.
    terminal.type("sh -c 'echo beg''un; exec sleep 100'\n");
    await terminal.shows('begun');
    terminal.type('\x1a');
    await terminal.shows('Stopped');
    await terminal.shows('# ');
    terminal.type('kill -9 %1; echo $(( 6 * 7 ))\n');
    await terminal.shows('42');
    await terminal.shows('# ');
    terminal.type("sh -c 'echo beg''un; exec sleep 100'\n");
    await terminal.shows('begun');
    terminal.type('\x03');
    await terminal.shows('# ');
    terminal.type('exit 5\n');
    await terminal.shows('status=5 foreground=+');
  });
});

describe('ps and exec', function () {
  this.timeout(60_000);
  const provider = testProvider({ hostname: 'seen-by-ps' });
  let testbed: OpenTestbed;
  let terminal: Terminal | undefined;
  before(async () => {
    testbed = await provider.open();
    await testbed.run([
      'sh',
      '-c',
      'sleep 1234 2>/dev/null </dev/null | cat >/dev/null 2>&1 & head -c 5000000 /dev/zero >/big',
    ]);
  });
  after(async () => {
    await terminal?.close();
    await provider.dispose();
  });

  const listed = async (pid = testbed.pid) => {
    const { stdout } = await virt(['ps', '--json']);
    const all: { pid: number; used: number; root: string; name: string; processes: { command: string }[] }[] =
      JSON.parse(stdout);
    return all.find((each) => each.pid === pid);
  };

  it('lists a testbed that another process has open', async () => {
    const found = await listed();
    assert.equal(found?.name, 'seen-by-ps');
    assert.equal(found?.root, testTarball());
    assert.ok(found.used >= 5_000_000 && found.used < 6_000_000, String(found.used));
    assert.deepEqual(found.processes.map(({ command }) => command).sort(), ['cat', 'sleep 1234']);
  });

  it('lists it as a table', async () => {
    const { stdout } = await virt(['ps', '--processes']);
    const line = new RegExp(
      `^${testbed.pid} +seen-by-ps +(\\d+ min )?\\d+ s +4\\.\\dM +2 +(- +)?/.*\n +\\d+ +(sleep 1234|cat)\n +\\d+ +(sleep 1234|cat)$`,
      'm',
    );
    assert.match(stdout, line);
  });

  itWithUsers('runs a command in it by name and by pid', async () => {
    for (const name of ['seen-by-ps', String(testbed.pid), String(process.pid)]) {
      const script = 'hostname; id -un; stat -c %s /big; cat; exit 3';
      const run = await virt(['exec', name, '--user', 'nobody', '--', 'sh', '-c', script], { input: 'in\n' });
      assert.deepEqual(run, { status: 3, stdout: 'seen-by-ps\nnobody\n5000000\nin\n', stderr: '' });
    }
  });

  it('opens a shell in it on a terminal', async () => {
    terminal = new Terminal([PROGRAM, 'exec', 'seen-by-ps']);
    await terminal.shows('root@seen-by-ps:/# ');
    terminal.type('stty size; exit 6\n');
    await terminal.shows('31 97');
    await terminal.shows('status=6 foreground=+');
  });

  it('knows neither what was never there nor what is closed', async () => {
    const absent = await virt(['exec', 'absent', '--', 'true']);
    assert.match(absent.stderr, /no open testbed absent; virt-ts-unshare ps lists/);
    assert.equal(absent.status, 2);
    const old = testbed.pid;
    await testbed.revert();
    assert.notEqual((await virt(['exec', String(old), '--', 'true'])).status, 0);
    assert.ok(await listed());
    const last = testbed.pid;
    await testbed.close();
    assert.equal(await listed(last), undefined);
  });

  it('show an example', async () => {
    for (const verb of ['ps', 'exec']) {
      const { stdout } = await virt([verb, '--help']);
      assert.match(stdout, new RegExp(`Examples?\\b.*:\n  virt-ts-unshare ${verb} `));
    }
  });
});
