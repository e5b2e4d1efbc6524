import assert from 'node:assert/strict';
import type { Provider } from '../../src/testbed/provider.ts';
import type { OpenTestbed } from '../../src/testbed/types.ts';
import { script, testProvider } from '../support/testbed.ts';

/**
 * Lies in wait for the next process of the testbed: perl, which every Debian has, calls ptrace(2) for its pid until there is
 * one to seize, notes of which user it is and what it has open, and lets it go. An unmapped user is 65534 in here.
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
      print "caught $uid ", join(" ", map { readlink("/proc/$pid/$_") // "nothing" } "root", "cwd"), "\\n";
      syscall($ptrace, $detach, $pid, 0, 0);
      last;
    }
  }'`;

describe('root in the testbed, a hostile one,', function () {
  this.timeout(120_000);
  let provider: Provider;
  let testbed: OpenTestbed;
  before(async () => {
    provider = testProvider();
    testbed = await provider.open();
  });
  after(() => provider.dispose());

  it('catches nobody of the caller’s user id where commands come in', async () => {
    await script(testbed, `${AMBUSH} </dev/null >/caught 2>&1 & until [ -s /caught ]; do :; done`);
    let caught: string[] = [];
    while (caught.length < 5) {
      for (let i = 0; i < 10; i += 1) await script(testbed, ':');
      const { stdout } = await script(testbed, 'cat /caught');
      caught = stdout.match(/^caught .+$/gm) ?? assert.match(stdout, /^ready\n$/) ?? [];
    }
    // One that has ended meanwhile has neither a root nor a working directory.
    const wrong = caught.filter((line) => line !== 'caught 0 / /' && line !== 'caught 0 nothing nothing');
    assert.deepEqual(wrong, []);
  });

  it('holds nobody up by thousands of open descriptors', async function () {
    this.timeout(30_000);
    const { stdout } = await script(
      testbed,
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
