/** What one testbed may use up: the host and the other testbeds of the user go on. */
import assert from 'node:assert/strict';
import { watch } from 'node:fs';
import type { Provider } from '../../../src/testbed/provider.ts';
import type { OpenTestbed } from '../../../src/testbed/types.ts';
import { call, virt } from '../../support/program.ts';
import { testTarball } from '../../support/rootfs.ts';
import { describeWithUsers } from '../../support/skip.ts';
import { script, testProvider } from '../../support/testbed.ts';

/** Calls a system call by its number until it fails, then prints how often it worked, and waits. */
const UNTIL_FAILURE = (call: string) => `perl -e '
  use POSIX; $| = 1;
  my $arch = (POSIX::uname())[4];
  my $count = 0;
  $count++ while ${call};
  print "$count\\n";
  sleep 1000'`;
const INOTIFY_INIT1 = 'syscall({x86_64 => 294}->{$arch} // 26, 0) >= 0';
const ADD_KEY =
  'syscall({x86_64 => 248}->{$arch} // 217, my $type = "user", my $name = "key$count", my $data = "x", 1, -3) >= 0';

// The ids of the testbeds decide for whom the kernel counts.
describeWithUsers('a testbed that uses up what it may have', function () {
  this.timeout(60_000);
  let provider: Provider;
  let greedy: OpenTestbed;
  let other: OpenTestbed;
  beforeEach(async () => {
    provider = testProvider({ maxProcesses: 150 });
    [greedy, other] = [await provider.open(), await provider.open()];
  });
  afterEach(() => provider.dispose());

  async function othersGoOn(): Promise<void> {
    assert.equal((await script(other, 'echo fine')).stdout, 'fine\n');
    await other.revert();
    const third = await provider.open();
    assert.equal((await script(third, 'echo fine')).stdout, 'fine\n');
    await third.close();
    await greedy.revert();
    assert.equal((await script(greedy, 'echo fine')).stdout, 'fine\n');
  }

  const FILL = 'i=0; while [ $i -lt 1000 ]; do sleep 1000 >/dev/null 2>&1 & i=$((i+1)); done';

  it('of processes: a command that cannot be started names the option', async () => {
    assert.match((await script(greedy, FILL)).stderr, /Cannot fork/);
    // The shell itself may still be started; root inside makes no room for more.
    const words = [...greedy.executeCommand, 'sh', '-c', 'ulimit -a; exec "$@"', 'sh'];
    const more = ['perl', '-e', 'fork // exit 9 for 1 .. 3; sleep 1'];
    const all = await Promise.all(
      Array.from({ length: 3 }, () => call(['sh', '-c', '"$@"', 'sh', ...words, ...more])),
    );
    for (const { status, stderr } of all) {
      assert.ok(status === 9 || /as many processes as it may have; .*--max-processes/.test(stderr), stderr);
    }
    await othersGoOn();
  });

  it('of processes, by those of many users and in user namespaces inside', async () => {
    const asUsers = `perl -e 'use POSIX; for my $user (1 .. 50) { for (1 .. 9) {
      defined(my $child = fork) or print("full\\n"), exit;
      next if $child; setuid $user; sleep 1000 } }' 2>&1 >/dev/null &
      unshare --user --map-root-user sh -c '${FILL}' 2>&1 | grep -m 1 -o 'Cannot fork'`;
    assert.equal((await script(greedy, asUsers)).stdout, 'Cannot fork\n');
    await othersGoOn();
  });

  for (const [what, bomb] of [
    ['that holds its output', 'b() { b | b & }; b;'],
    ['in sessions of their own', "perl -e 'use POSIX; while (1) { setsid if fork == 0 }' &"],
  ] as const) {
    it(`by a fork bomb ${what}: its command returns`, async () => {
      const { status } = await script(greedy, `${bomb} sleep 1`);
      assert.equal(status, 0);
      await othersGoOn();
    });
  }

  it('of inotify instances: the caller has some left', async () => {
    const used = await greedy.run([
      'sh',
      '-c',
      `${UNTIL_FAILURE(INOTIFY_INIT1)} >/used & until [ -s /used ]; do :; done`,
    ]);
    assert.equal(used.status, 0);
    watch('/').close();
    assert.ok(Number((await script(greedy, 'cat /used')).stdout) >= 32);
    await othersGoOn();
  });

  it('of keys', async () => {
    await greedy.run(['sh', '-c', `${UNTIL_FAILURE(ADD_KEY)} >/used & until [ -s /used ]; do :; done`]);
    assert.ok(Number((await script(greedy, 'cat /used')).stdout) >= 100);
    await othersGoOn();
  });

  it('of what the kernel lets a user namespace have, which its root has set to nothing', async () => {
    const { status } = await script(greedy, 'for limit in /proc/sys/user/*; do echo 0 >$limit; done');
    assert.equal(status, 0);
    await othersGoOn();
  });
});

describe('the memory of a testbed', function () {
  this.timeout(60_000);

  it('is divided among its file systems', async () => {
    const df = 'for at in / /dev/shm /run; do stat -f -c "%b %S" $at; done';
    const { stdout, stderr } = await virt([
      ...['run', '--tarball', testTarball(), '--scratch=tmpfs', '--max-memory=100M', '--', 'sh', '-c', df],
    ]);
    const sizes = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(' ').map(Number));
    const mebibytes = sizes.map(([blocks = 0, size = 0]) => Math.round((blocks * size) / 1024 ** 2));
    assert.deepEqual(mebibytes, [50, 25, 10], stderr);
  });

  it('is less than that of the machine', async () => {
    const [memory] = (await call(['sh', '-c', 'getconf _PHYS_PAGES'])).stdout.split('\n').map(Number);
    const provider = testProvider({ scratch: { kind: 'tmpfs' } });
    try {
      const df = 'for at in / /dev/shm /run; do stat -f -c %b $at; done';
      const { stdout } = await script(await provider.open(), df);
      const blocks = stdout.trimEnd().split('\n').map(Number);
      assert.equal(blocks.length, 3);
      assert.ok(blocks.reduce((sum, each) => sum + each, 0) < (memory ?? 0));
    } finally {
      await provider.dispose();
    }
  });
});
