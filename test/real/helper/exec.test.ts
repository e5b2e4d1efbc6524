import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive, nameOf } from '../../../src/processes/identity.ts';
import { childrenOf } from '../../../src/processes/list.ts';
import { waitUntil } from '../../../src/wait.ts';
import { patience } from '../../support/patience.ts';
import { call } from '../../support/program.ts';
import { projectDir, testTarball } from '../../support/rootfs.ts';
import { itWithUsers, ONLY_ROOT, skip } from '../../support/skip.ts';
import { script, testProvider, useTestbed } from '../../support/testbed.ts';

describe('a command in a testbed', function () {
  this.timeout(60_000);
  const bed = useTestbed();

  /** The execute program, called by a shell as `line`, in which "$@" stands for all its words. */
  const calledAs = (line: string, ...command: string[]) =>
    call(['sh', '-c', line, 'sh', ...bed.testbed.executeCommand, ...command]);
  const run = (...command: string[]) => calledAs('exec "$@"', ...command);

  it('has the three variables of every command, and none of the caller', async () => {
    const { stdout } = await calledAs(
      `export OPTIND=9 IFS=x enter=y pid=1 'odd=a
export PATH=/nowhere'; exec "$@"`,
      'env',
    );
    assert.deepEqual(stdout.trim().split('\n').sort(), [
      'HOME=/root',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'SHELL=/bin/sh',
    ]);
  });

  it('is in all namespaces of pid 1', async () => {
    const names = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts'];
    const { stdout } = await run(
      'sh',
      '-c',
      `cd /proc; readlink ${names.map((n) => `self/ns/${n}`).join(' ')}`,
    );
    const { stdout: first } = await run('sh', '-c', `cd /proc/1/ns; readlink ${names.join(' ')}`);
    assert.equal(stdout, first);
    assert.equal(stdout.split('\n').length, 8);
  });

  it('gets its arguments as they are', async () => {
    const odd = ['', ' ', "it's", '-n', '--', 'A=b', 'new\nline', '$HOME', '*', 'über'];
    const { stdout } = await run('printf', '<%s>\n', ...odd);
    assert.equal(stdout, odd.map((word) => `<${word}>\n`).join(''));
  });

  it('that is missing or no program gives 127 or 126 and one sentence with its name', async () => {
    for (const [name, status] of [
      ['no-such-program', 127],
      ['/no/such/program', 127],
      ['/etc/passwd', 126],
      ['/', 126],
    ] as const) {
      const ended = await run(name);
      assert.deepEqual([ended.status, ended.stdout], [status, '']);
      assert.match(ended.stderr, new RegExp(`^[^\\n]* ${name}[^\\n]*\\n$`));
    }
  });

  it('may be a script without a first line that names its shell', async () => {
    await run('sh', '-c', 'echo "echo plain; exit 4" >/plain; chmod +x /plain');
    const { status, stdout } = await run('/plain');
    assert.deepEqual([status, stdout], [4, 'plain\n']);
  });

  it('runs also where the server is scheduled in real time, which gives a process no timer slack', async function () {
    const program = `${projectDir}bin/virt-ts-unshare`;
    const options = ['--tarball', testTarball(), '--', 'sh', '-c', 'sleep 60 & echo output'];
    const ended = await call(['chrt', '--fifo', '1', program, 'run', ...options]);
    if (/Operation not permitted/.test(ended.stderr)) skip(this, 'chrt needs root');
    assert.deepEqual([ended.status, ended.stdout], [0, 'output\n']);
    assert.match(ended.stderr, /ended for holding the output open: process \d+ \(uid 0\): sleep 60\n$/);
  });

  it('fails with 255 and the remedy where the caller has no descriptor left', async () => {
    const words = bed.testbed.executeCommand;
    const ended = await call(['sh', '-c', 'ulimit -n 3; exec "$@"', 'sh', ...words, 'true']);
    assert.equal(ended.status, 255);
    assert.match(ended.stderr, /: Too many open files; raise the limit of open files \(ulimit -n\)\n$/);
  });

  it('fails with 255 and a sentence once the testbed is dead, whatever has its pid', async () => {
    const other = testProvider();
    const words = (await other.open()).executeCommand;
    await other.dispose();
    const ended = await call(['sh', '-c', 'exec "$@"', 'sh', ...words, 'true']);
    assert.equal(ended.status, 255);
    assert.match(ended.stderr, /^virt-ts-unshare: cannot run a command in the testbed: it is closed\n$/);
  });
});

/** Lines of hostile files, each longer than any line of such a file. */
const HUGE = 'perl -e \'print "x:" x 200000, "\\n"\'';

describe('the user, directory and environment of a command', function () {
  this.timeout(60_000);
  const bed = useTestbed();
  afterEach(() => bed.testbed.revert());
  const inside = (text: string) => script(bed.testbed, text);
  /** What `text` prints for a user in a testbed whose files were changed by `changes`. */
  async function as(user: string, changes: string, text = 'id; echo $HOME $SHELL; pwd') {
    const changed = await inside(changes);
    assert.deepEqual([changed.status, changed.stderr], [0, '']);
    return script(bed.testbed, text, { user, timeout: 10 });
  }

  itWithUsers('come from the accounts and groups of the testbed', async () => {
    const changes = `printf '%s\\n' eve:x:1234:60:Eve,,,:/home/eve: >>/etc/passwd
      printf '%s\\n' one:x:70:mallory,eve two:x:71:eve eves:x:72:evelyn >>/etc/group`;
    const { stdout } = await as('eve', changes);
    assert.match(stdout, /^uid=1234\(eve\) gid=60\(games\) groups=60\(games\),70\(one\),71\(two\)\n/);
    assert.match(stdout, /\n\/home\/eve \/bin\/sh\n\/\n$/);
    assert.equal((await as('1234', ':')).stdout, stdout);
    assert.match((await as('4321', ':')).stdout, /^uid=4321 gid=4321 groups=4321\n\/ \/bin\/sh\n/);
  });

  itWithUsers('come from the lines that are none of a hostile file', async () => {
    const line = 'eve:x:1234:60::/:/bin/sh';
    const junk = `{ ${HUGE}; echo eve; echo eve:x; echo eve:x:-5:0::/:; echo eve:x:99999999999:0::/:; echo ${line}; ${HUGE}; }`;
    const { stdout } = await as('eve', `${junk} >/etc/passwd; ${junk} >/etc/group`);
    assert.match(stdout, /^uid=1234\(eve\) gid=60\b/);
  });

  it('do not wait for files that are no files', async () => {
    const changes =
      'rm -f /etc/passwd /etc/group /etc/environment; mkfifo /etc/passwd /etc/group /etc/environment';
    await inside(changes);
    assert.equal((await script(bed.testbed, 'echo fine', { timeout: 10, cwd: '/etc' })).stdout, 'fine\n');
    await assert.rejects(script(bed.testbed, 'true', { user: 'eve', timeout: 10 }), { code: 'NO_USER' });
    if (!ONLY_ROOT)
      assert.match(
        (await script(bed.testbed, 'cat /proc/self/status', { user: '1234', timeout: 10 })).stdout,
        /^Uid:\t1234/m,
      );
  });

  it('come from /etc/environment, and over it from the caller', async () => {
    const text = [
      'export A="a b"',
      "B='b'",
      'C=c',
      '1=x',
      'D-E=x',
      'no',
      'PATH=/usr/bin:/bin:/x',
      'F="half',
    ].join('\n');
    await inside(
      `printf '%s\\n' '${text.replaceAll("'", "'\\''")}' >/etc/environment; ${HUGE} >>/etc/environment`,
    );
    const { stdout } = await script(bed.testbed, 'echo "$A,$B,$C,$PATH,$F"', { env: { C: 'mine' } });
    assert.equal(stdout, 'a b,b,mine,/usr/bin:/bin:/x,"half\n');
  });

  it('that do not exist are errors with a code', async () => {
    await assert.rejects(script(bed.testbed, 'true', { cwd: '/nowhere' }), { code: 'NO_DIRECTORY' });
    await assert.rejects(script(bed.testbed, 'true', { cwd: '/etc/passwd' }), { code: 'NO_DIRECTORY' });
    await assert.rejects(script(bed.testbed, 'true', { user: 'stranger' }), { code: 'NO_USER' });
    await assert.rejects(script(bed.testbed, 'true', { user: '4294967295' }), { code: 'NO_USER' });
  });
});

/** Numbers of system calls that perl has no name for. */
const SYSCALLS =
  process.arch === 'x64'
    ? { ptrace: 101, addKey: 248, keyctl: 250 }
    : { ptrace: 117, addKey: 217, keyctl: 219 };

describe('a command and the process that waits for it', function () {
  this.timeout(60_000);
  const bed = useTestbed();
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
  });
  after(() => rmSync(folder, { recursive: true }));
  const shell = (text: string, line = 'exec "$@"') =>
    call(['sh', '-c', line, 'sh', ...bed.testbed.executeCommand, 'sh', '-c', text]);

  it('may send signals to its whole process group', async () => {
    const { status, stdout } = await shell('trap "echo caught" TERM; kill 0; exit 7');
    assert.deepEqual([status, stdout], [7, 'caught\n']);
    assert.equal((await shell('sleep 1000 & kill -9 0')).status, 137);
  });

  /** Starts a command on no terminal; resolves once it has printed a line. */
  async function started(text: string): Promise<ChildProcess> {
    const [file = '', ...args] = bed.testbed.executeCommand;
    const child = spawn(file, [...args, 'sh', '-c', text], { stdio: ['ignore', 'pipe', 'ignore'] });
    await once(child.stdout, 'data');
    return child;
  }

  it('gets the signals that are sent to its execute program', async () => {
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2'] as const) {
      const trap = `trap 'exit 5' ${signal.slice('SIG'.length)}`;
      const child = await started(`${trap}; echo ready; while :; do sleep 0.01; done`);
      child.kill(signal);
      assert.deepEqual(await once(child, 'exit'), [5, null], signal);
    }
  });

  it('ends with its execute program', async () => {
    const trap = 'trap "" TERM; echo ready; sleep 1000; sleep 1000';
    const ignoring = await started(trap);
    ignoring.kill('SIGTERM');
    assert.deepEqual(await once(ignoring, 'exit'), [137, null], 'a driver waits for ever');
    const killed = await started('echo $$; exec sleep 1001');
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    const alive = async () => (await shell('pidof sleep || echo none')).stdout;
    let seen = await alive();
    for (const end = performance.now() + 5000; seen !== 'none\n' && performance.now() < end; )
      seen = await alive();
    assert.equal(seen, 'none\n');
  });

  it('may stop itself', async () => {
    const { status } = await shell(
      'me=$$; (until grep -q "^State:.T" /proc/$me/status; do :; done; kill -CONT $me) & kill -STOP $me; exit 6',
    );
    assert.equal(status, 6);
  });

  it('may stop all of its process group at once, however early', async () => {
    const program = join(folder, 'stop');
    await call(['cc', '-static', '-o', program, '-x', 'c', '-'], {
      input: '#include <signal.h>\nint main(void) { kill(0, SIGSTOP); return 6; }',
    });
    await bed.testbed.copyIn(Buffer.from(program), Buffer.from('/stop'));
    const continuing = 'while :; do for p in $(pidof stop); do kill -CONT $p; done; done';
    await shell(`(${continuing}) </dev/null >/dev/null 2>&1 &`);
    const words = bed.testbed.executeCommand;
    for (let i = 0; i < 30; i += 1) assert.equal((await call(['setsid', '-w', ...words, '/stop'])).status, 6);
  });

  it('may ask its parent to trace it', async () => {
    const { status } = await call([
      ...(['sh', '-c', 'exec "$@"', 'sh'] as const),
      ...bed.testbed.executeCommand,
      ...[
        'perl',
        '-e',
        `syscall(${SYSCALLS.ptrace}, 0, 0, 0, 0); $SIG{USR1} = sub {}; kill "USR1", $$; exit 5`,
      ],
    ]);
    assert.equal(status, 5);
  });

  it('gives its status to a caller that ignores SIGCHLD', async () => {
    const words = bed.testbed.executeCommand;
    const ignoring = '$SIG{CHLD} = "IGNORE"; exec @ARGV';
    const ended = await call(['perl', '-e', ignoring, ...words, 'sh', '-c', 'exit 9']);
    assert.deepEqual([ended.status, ended.stderr], [9, '']);
  });

  it('cannot read the keys of the caller', async () => {
    const { keyctl, addKey } = SYSCALLS;
    const key = '$t = "user"; $d = "mine";';
    const give = `$s = "virt-ts-unshare-test"; ${key} $v = "SECRET"; syscall(${keyctl}, 1, $s) > 0 or die;
      syscall(${addKey}, $t, $d, $v, 6, -3) > 0 or die; exec @ARGV or die`;
    const take = `${key} $b = "-" x 9; $k = syscall(${keyctl}, 10, -3, $t, $d, 0); syscall(${keyctl}, 11, $k, $b, 9); print $b`;
    const outside = await call(['perl', '-e', give, 'perl', '-e', take]);
    assert.match(outside.stdout, /SECRET/);
    const words = bed.testbed.executeCommand;
    const { stdout } = await call(['perl', '-e', give, ...words, 'perl', '-e', take]);
    assert.equal(stdout, '---------');
    // Pid 1 holds one keyring for all commands, so that they do not use up a user's number of keys.
    const serial = `$k = syscall(${keyctl}, 0, -3, 0); print $k`;
    const seen = await Promise.all(
      [1, 2, 3].map(() => call([words[0] ?? '', ...words.slice(1), 'perl', '-e', serial])),
    );
    assert.equal(new Set(seen.map((ended) => ended.stdout)).size, 1);
    await bed.testbed.revert();
    const [first = '', ...rest] = bed.testbed.executeCommand;
    const after = await call([first, ...rest, 'perl', '-e', serial]);
    assert.equal(after.status, 0);
    assert.notEqual(after.stdout, seen[0]?.stdout);
  });

  it('is not run when its execute program was killed before', async () => {
    // A file that takes long to be read. It has no blocks, so it takes no memory.
    const slow =
      'cp /etc/passwd /tmp; : >/etc/passwd; truncate -s 4G /etc/passwd; printf "\\n\\nroot:x:0:0::/:/bin/sh\\n" >>/etc/passwd';
    assert.equal((await script(bed.testbed, slow)).status, 0);
    const [helper = '', ...words] = bed.testbed.executeCommand;
    const user = [...words.slice(0, -1), '-u', 'root', '--'];
    const started = spawn(helper, [...user, 'touch', '/tmp/was-run'], { stdio: 'ignore' });
    const ended = once(started, 'close');
    const { pid } = started;
    assert.ok(pid !== undefined);
    // Time on a processor (fields 14 and 15 of proc_pid_stat(5)): an ordinary user may not see the namespaces of this process.
    const ticks = (child: number) => {
      const fields = readFileSync(`/proc/${child}/stat`, 'latin1')
        .replace(/^.*\) /s, '')
        .split(' ');
      return Number(fields[11]) + Number(fields[12]);
    };
    const reading = () => childrenOf(pid).find((child) => ticks(child) > 5);
    assert.ok(await waitUntil(() => reading() !== undefined, patience(10_000)));
    const child = nameOf(reading() ?? assert.fail('it has ended'));
    started.kill('SIGKILL');
    await ended;
    assert.ok(await waitUntil(() => !isAlive(child), patience(30_000)));
    const { stdout } = await script(bed.testbed, 'ls /tmp/was-run 2>/dev/null; mv /tmp/passwd /etc');
    assert.equal(stdout, '');
  });

  it('gets no descriptor of the caller above nine either', async () => {
    const { stdout } = await call([
      'perl',
      '-e',
      '$^F = 99; open my $f, "<", "/" or die; open my $g, "<&", $f for 1 .. 20; exec @ARGV',
      ...bed.testbed.executeCommand,
      ...['sh', '-c', 'ls /proc/$$/fd; :'],
    ]);
    assert.match(stdout, /^0\n1\n2\n/);
    assert.doesNotMatch(stdout, /^\d\d$/m);
  });
});
