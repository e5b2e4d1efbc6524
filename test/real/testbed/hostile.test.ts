import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Context } from 'mocha';
import { shellLine } from '../../../src/log.ts';
import { waitUntil } from '../../../src/wait.ts';
import { call, PROGRAM } from '../../support/program.ts';
import { testTarball } from '../../support/rootfs.ts';
import { Server } from '../../support/server.ts';
import { skip } from '../../support/skip.ts';
import { script, useTestbed } from '../../support/testbed.ts';

/**
 * Lies in wait for the next process of the testbed: perl, which every Debian has, calls ptrace(2) for its pid until there is
 * one to seize, notes of which user it is, where it is and whether it has a variable SECRET, and lets it go. An unmapped user
 * is 65534 in here.
 */
const AMBUSH = `perl -e '
  use POSIX;
  my $ptrace = {x86_64 => 101, aarch64 => 117, riscv64 => 117, ppc64le => 26, s390x => 26}->{(POSIX::uname())[4]};
  my ($seize, $interrupt, $detach) = (0x4206, 0x4207, 17);
  $| = 1;
  print "ready\\n";
  while (1) {
    open my $file, "<", "/proc/sys/kernel/ns_last_pid" or die $!;
    my $pid = <$file> + 1;
    for (1 .. 2000) {
      next if syscall($ptrace, $seize, $pid, 0, 0) < 0;
      syscall($ptrace, $interrupt, $pid, 0, 0);
      waitpid $pid, 0x40000000;
      open my $status, "<", "/proc/$pid/status" or last;
      my ($uid) = map /^Uid:\\s+(\\d+)/, <$status>;
      open my $environ, "<", "/proc/$pid/environ" or last;
      my $secret = join("", <$environ>) =~ /SECRET/ ? " SECRET" : "";
      print "caught $uid ", join(" ", map { readlink("/proc/$pid/$_") // "nothing" } "root", "cwd"), "$secret\\n";
      syscall($ptrace, $detach, $pid, 0, 0);
      last;
    }
  }'`;

describe('root in the testbed, a hostile one,', function () {
  this.timeout(120_000);
  const bed = useTestbed();

  /** What the execute program of the testbed says, called by a shell as `line`, in which "$@" stands for its words. */
  const execute = (line: string, ...command: string[]) =>
    call(['sh', '-c', line, 'sh', ...bed.testbed.executeCommand, ...command]);
  afterEach(() => bed.testbed.revert());

  it('catches no process with the user id, the directory or the environment of the caller', async () => {
    await script(bed.testbed, `${AMBUSH} </dev/null >/caught 2>&1 & until [ -s /caught ]; do :; done`);
    let caught: string[] = [];
    while (caught.length < 5) {
      for (let i = 0; i < 10; i += 1) await execute('SECRET=1 exec "$@"', 'true');
      const { stdout } = await script(bed.testbed, 'cat /caught');
      caught = stdout.match(/^caught .+$/gm) ?? assert.match(stdout, /^ready\n$/) ?? [];
    }
    // One that has ended meanwhile has neither a root nor a working directory.
    const wrong = caught.filter((line) => line !== 'caught 0 / /' && line !== 'caught 0 nothing nothing');
    assert.deepEqual(wrong, []);
  });

  it('cannot write to or read from the terminal of a caller of the execute program', async () => {
    const words = shellLine([
      ...bed.testbed.executeCommand,
      ...['sh', '-c', 'exec 3<>/dev/tty && echo reached'],
    ]);
    const there = `${words} </dev/null; tty -s </dev/tty && echo there`;
    const { stdout } = await call(['script', '-qec', there, '/dev/null']);
    assert.match(stdout, /there/);
    assert.doesNotMatch(stdout, /reached/);
  });

  it('gets no descriptor of the caller but the first three', async () => {
    const { stdout } = await execute('exec "$@" 3</ 4</ 9</', 'sh', '-c', 'ls /proc/$$/fd; :');
    assert.match(stdout, /^0\n1\n2\n/);
    assert.doesNotMatch(stdout, /^[3-9]$/m);
  });

  it('runs commands for a caller with closed standard streams', async () => {
    const { stdout, status } = await execute('exec "$@" 2>&-', 'sh', '-c', 'echo out; echo lost >&2; exit 4');
    assert.deepEqual([stdout, status], ['out\n', 4]);
    assert.equal((await execute('exec "$@" <&- >&- 2>&-', 'sh', '-c', 'exit 5')).status, 5);
  });

  it('cannot hide a leak by what it mounts on /proc', async () => {
    const { status } = await script(
      bed.testbed,
      `perl -e 'mkdir "/lie"; mkdir "/lie/1"; mkdir "/lie/7"; my ($from, $to, $type) = ("/lie", "/proc", "none");
         use POSIX; my %mount = (x86_64 => 165, aarch64 => 40, riscv64 => 40, ppc64le => 21, s390x => 21);
         fork or exec qw(sleep 876543);
         syscall($mount{(POSIX::uname())[4]}, $from, $to, $type, 4096, 0) == 0 or die "$!"'`,
    );
    const { stdout } = await call(['ps', '-eo', 'args']);
    await bed.testbed.revert();
    assert.equal(status, 0);
    assert.doesNotMatch(stdout, /^sleep 876543$/m);
  });

  it('delays no command by thousands of open descriptors', async function () {
    this.timeout(30_000);
    const { stdout } = await script(
      bed.testbed,
      `perl -e '$| = 1;
         fork or do {
           while (@all < 19000) { pipe my $in, my $out or last; push @all, $in, $out }
           print scalar @all, " open\n";
           sleep 1000;
         };
         select undef, undef, undef, 0.01 until -s STDOUT'`,
    );
    assert.match(stdout, /^\d+ open\n$/);
  });
});

describe('a hostile pid 1', function () {
  this.timeout(60_000);

  it('ends with a server that is killed, though it went to a user namespace of its own and reads no lifeline', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-hostile-'));
    const shell = join(folder, 'sh');
    writeFileSync(
      shell,
      `#!/usr/bin/perl
       use POSIX;
       my ($unshare, $prctl) = @{{x86_64 => [272, 157], aarch64 => [97, 167], riscv64 => [97, 167],
         ppc64le => [282, 171], s390x => [303, 172]}->{(POSIX::uname())[4]}};
       syscall($unshare, 0x10000000) == 0 and syscall($prctl, 1, 0, 0, 0, 0) == 0 or die $!;
       $0 = "gone away";
       sleep 1000;`,
      { mode: 0o755 },
    );
    const server = Server.start({ argv: ['--tarball', testTarball(), '--bind', shell, '/bin/sh'] });
    try {
      assert.equal(await server.reply(), 'ok');
      await server.ask('open');
      assert.ok(await waitUntil(() => /gone away/.test(server.running().join()), 10_000));
      await server.kill('SIGKILL');
      assert.deepEqual(await server.leftAfter(10_000), []);
    } finally {
      for (const line of server.running()) process.kill(Number.parseInt(line, 10), 'SIGKILL');
      rmSync(folder, { recursive: true });
    }
  });
});

/** Begins an argv: the rest runs where no user has subordinate ids. */
const NO_RANGES = [
  ...(['unshare', '--user', '--map-current-user', '--keep-caps', '--mount', 'sh', '-c'] as const),
  ...['mount --bind /dev/null /etc/subuid && exec "$@"', 'sh'],
] as const;

// Without ranges of subordinate ids there is only the caller's own id to be root of the testbed.
describe('root in a testbed whose root is its caller', function () {
  this.timeout(60_000);
  const unlessRoot = (context: Context): void => {
    if (process.getuid?.() === 0) skip(context, 'root has ids for all others');
  };

  it('cannot kill the caller by its process group', async function () {
    unlessRoot(this);
    const [file, ...args] = [...NO_RANGES, process.execPath, PROGRAM, '--tarball', testTarball()] as const;
    const server = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const replies = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
    const ask = async (line: string) => {
      server.stdin.write(`${line}\n`);
      return String((await replies.next()).value);
    };
    assert.equal((await replies.next()).value, 'ok');
    await ask('open');
    const words = (await ask('print-execute-command')).slice('ok '.length).split(',').map(decodeURIComponent);
    const driver = ['setsid', '-w', 'sh', '-c', '"$@"; echo "alive $?"', 'sh'] as const;
    const { stdout } = await call([...driver, ...words, 'sh', '-c', 'kill -9 0']);
    assert.equal(await ask('quit'), 'ok');
    assert.equal(stdout, 'alive 137\n');
  });
});
