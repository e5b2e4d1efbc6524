/** CVE-2024-21626: descriptors of the caller that lead out, as working directories and in copies. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { forEachCaller } from './each.ts';
import { ROUNDS, some } from './tally.ts';
import { command } from './world.ts';

/** Opens a directory and a file of the host as each descriptor from 3 on, not close-on-exec, and executes the rest of its words. */
const OPENER = `use POSIX; $^F = 1 << 20; my ($most, $directory, $file) = splice @ARGV, 0, 3;
  for (;;) { my $fd = POSIX::open($opened++ % 2 ? $file : $directory, O_RDONLY) // last; last if $fd >= $most }
  exec @ARGV or die $!`;

const look = (descriptors: string) => `for fd in ${descriptors}; do
  readlink $fd; cat $fd/file $fd/canaries/file; [ ! -f $fd ] || head -c 100 $fd; done 2>/dev/null </dev/null | grep -a canar`;

forEachCaller("the caller's descriptors", [], (caller, scene) => {
  const numbers = () =>
    some(
      Array.from({ length: 300 }, (_, n) => n),
      4,
    );
  const opener = () => ['perl', '-e', OPENER, '900', scene.canaries.folder, scene.canaries.file];

  it('are in no process of a testbed', async () => {
    const { world, canaries } = scene;
    const { stdout, stderr } = await world.run(caller, `${look('/proc/[0-9]*/fd/*')}; echo looked`, {
      before: opener(),
    });
    assert.equal(stdout, 'looked\n', stderr);
    await canaries.check([stdout, stderr], 900);
  });

  it('are found where they are inherited (the control)', async () => {
    const { canaries } = scene;
    const { call } = await import('../support/program.ts');
    const [file = '', ...args] = [...opener(), 'sh', '-c', look('/proc/self/fd/[0-9] /proc/self/fd/1?')];
    assert.ok((await call([file, ...args])).stdout.includes(canaries.secret));
  });

  it('are no working directory of a command or a shell', async () => {
    const { world, canaries } = scene;
    // The first ones are the helper's own.
    const chosen = [...some([3, 4, 5, 6, 7, 8], 1), ...numbers()];
    for (const number of chosen.slice(0, 2 * ROUNDS)) {
      for (const prefix of ['/proc/self/fd', '/dev/fd', '/proc/1/fd', '/proc/self/../1/fd']) {
        const { stdout, stderr, status } = await world.run(caller, 'pwd; ls; cat file ../file', {
          options: ['--cwd', `${prefix}/${number}`],
          before: opener(),
        });
        assert.equal(status, 255, stdout + stderr);
        await canaries.check([stdout, stderr]);
        if (ROUNDS === 1) break;
      }
    }
  });

  /** Ways through descriptors of the helper, such as that of the host's /proc, and of the caller. */
  const ways = (name: string) =>
    Array.from({ length: ROUNDS === 1 ? 6 : 24 }, (_, index) => `/proc/self/fd/${index + 3}`).flatMap(
      (fd) => [
        `${fd}/..${scene.canaries.folder}${name}`,
        `${fd}/../..${scene.canaries.folder}${name}`,
        `${fd}${name}`,
      ],
    );

  it('lead to no file of variables that a link in the testbed names', async () => {
    const { world, canaries } = scene;
    // The execute program reads this file before it executes the command.
    const requests = ways('/variables').flatMap((way) => [
      command(`ln -sfn ${way} /etc/environment`),
      command('echo "$STOLEN"'),
    ]);
    const { stdout, stderr, status } = await world.session(caller, ['open', ...requests, 'quit'], {
      before: opener(),
    });
    assert.equal(status, 0, stdout + stderr);
    await canaries.check([stdout, stderr], requests.length / 2);
  });

  it('lead to no working directory outside', async () => {
    const { world, canaries } = scene;
    for (const way of some(ways(''), 2)) {
      const { stdout, stderr, status } = await world.run(caller, 'cat variables ../canaries/variables', {
        options: ['--cwd', way],
        before: opener(),
      });
      assert.equal(status, 255, stdout + stderr);
      assert.match(stderr, /it has no directory/);
      await canaries.check([stdout, stderr]);
    }
  });

  it('lead to no shell outside, as pid 1', async () => {
    const { world, canaries } = scene;
    const root = world.directory('root-without-shell-');
    world.makeRoot(root);
    cpSync('/bin/busybox', join(world.programs, 'shell'));
    for (const way of some(ways('/../programs/shell'), 3)) {
      rmSync(join(root, 'bin/sh'));
      symlinkSync(way, join(root, 'bin/sh'));
      // What the checks before find in its place; the /proc of the testbed covers it.
      execFileSync('mkdir', ['-p', `${root}${way.replace(/\/\.\..*/, '')}`, `${root}${dirname(way)}`]);
      cpSync('/bin/busybox', `${root}${way}`);
      const { stdout, stderr, status } = await world.run(caller, 'true', {
        options: ['--rootfs', root],
        before: opener(),
      });
      assert.equal(status, 255, stdout + stderr);
      assert.match(stderr, /executing \/bin\/sh of the root filesystem failed/);
      await canaries.check([stdout, stderr]);
    }
  });

  it('are no place of a copy', async () => {
    const { world, canaries } = scene;
    const copies = numbers().flatMap((number) => [
      `copyup /proc/self/fd/${number}/file ${world.folder}/stolen`,
      `copyup /proc/self/fd/${number}/ ${world.folder}/stolen-tree/`,
      `copydown ${world.root}/etc/group /proc/self/fd/${number}/made`,
      `copydown ${world.root}/etc/ /dev/fd/${number}/made/`,
    ]);
    const requests = ['open', ...copies, command('ls -R / | grep stolen'), 'quit'];
    const { stdout, stderr, status } = await world.session(caller, requests, { before: opener() });
    assert.equal(status, 0, stdout + stderr);
    const { call } = await import('../support/program.ts');
    const stolen = await call([
      'sh',
      '-c',
      `cat ${world.folder}/stolen* ${world.folder}/stolen-tree/* 2>/dev/null`,
    ]);
    await canaries.check([stdout, stderr, stolen.stdout], copies.length);
  });
});
