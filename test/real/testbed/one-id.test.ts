/** Callers who have one user id to give: without subordinate ids, or in a namespace that has no more. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { helperPath } from '../../../src/helper.ts';
import { type CallOptions, call, PROGRAM } from '../../support/program.ts';
import { testTarball } from '../../support/rootfs.ts';

/** For an ordinary user the files that give ranges are hidden first, which takes a root. */
const HIDE = 'for file in /etc/subuid /etc/subgid; do [ ! -e $file ] || mount --bind /dev/null $file; done';
const CALLERS = {
  'an ordinary user without ranges': [
    ...['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c'],
    ...[`${HIDE}; exec unshare --user --map-user=1234 --map-group=1234 "$@"`, 'sh'],
  ],
  'root of a namespace with one id': ['unshare', '--user', '--map-root-user'],
};

for (const [who, [first = '', ...more]] of Object.entries(CALLERS)) {
  describe(`of one id: ${who}`, function () {
    this.timeout(60_000);
    let folder: string;
    before(() => {
      folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-one-id-'));
    });
    after(async () => {
      await as(['rootfs', 'prune', '--max-age', '0']);
      rmSync(folder, { recursive: true });
    });

    function as(words: readonly string[], options: CallOptions = {}) {
      const env = { XDG_CACHE_HOME: folder, XDG_RUNTIME_DIR: '' };
      return call([first, ...more, process.execPath, PROGRAM, ...words], { ...options, env });
    }
    const run = (options: readonly string[], script: string) =>
      as(['run', '--tarball', testTarball(), ...options, '--', 'sh', '-c', script]);

    it('gets a report of what it lacks when a root filesystem is unpacked', async () => {
      const { status, stdout, stderr } = await run(
        [],
        'id -u; stat -c %u /var/lib/apt/lists/partial; exit 7',
      );
      assert.deepEqual([status, stdout], [7, '0\n0\n'], stderr);
      assert.match(stderr, /this user has no subordinate ids, .*; virt-ts-unshare doctor/);
    });

    it('gets a report of what a command has left, and only that', async () => {
      const tidy = await run(['--fail-on-leak'], 'true');
      assert.deepEqual([tidy.status, tidy.stderr], [0, '']);
      const left = await run(['--fail-on-leak'], 'echo >/tmp/file');
      assert.deepEqual(
        [left.status, left.stderr],
        [1, 'virt-ts-unshare: left behind: file /tmp/file (uid 0, 1 bytes)\n'],
      );
      const held = await run(['--fail-on-leak'], 'sleep 1234 & echo done');
      assert.match(
        held.stderr,
        /^[^\n]* ended for holding the output open: process \d+ \(uid 0\): sleep 1234\n$/,
      );
      assert.deepEqual([held.status, held.stdout], [1, 'done\n']);
    });

    it('may name root, and no other user', async () => {
      const { stdout } = await run(['--user', 'root'], 'id -u; echo $HOME');
      assert.equal(stdout, '0\n/root\n');
      const { status, stderr } = await run(['--user', 'nobody'], 'true');
      assert.equal(status, 255);
      assert.match(stderr, /it has no ids but root's, so not those of nobody; .*\/etc\/subuid/);
    });

    it('copies files and directories both ways', async () => {
      const from = join(folder, 'from');
      mkdirSync(from);
      writeFileSync(join(from, 'file'), 'x'.repeat(5e6), { mode: 0o755 });
      const { status, stdout, stderr } = await as(['--tarball', testTarball()], {
        input: [
          ...['open', `copydown ${from}/file /tmp/file`, `copydown ${from}/ /tmp/tree/`],
          ...[`copyup /tmp/file ${folder}/file`, `copyup /tmp/tree/ ${folder}/tree/`, 'quit', ''],
        ].join('\n'),
      });
      assert.equal(status, 0, stderr);
      assert.deepEqual(stdout.match(/^(ok|copy-failed|timeout)/gm), Array(7).fill('ok'), stderr);
      for (const name of ['file', 'tree/file']) {
        assert.equal(readFileSync(join(folder, name)).length, 5e6);
        assert.equal(statSync(join(folder, name)).mode & 0o100, 0o100);
      }
    });

    it('gets a report of why a driver will fail', async () => {
      const { status, stdout, stderr } = await as(['--tarball', testTarball()], {
        input: 'capabilities\nopen\ncapabilities\nquit\n',
      });
      assert.equal(status, 0);
      assert.doesNotMatch(stdout, /suggested-normal-user/);
      assert.match(stderr, /^virt-ts-unshare: the testbed has no user but root, .*; .*doctor.*\n$/);
    });

    it('has its own helper program protected against root in the testbed', async () => {
      const before = readFileSync(helperPath());
      // Opens the program of each process, and for writing once that process has ended (CVE-2019-5736).
      const thief = `perl -e '
        $| = 1;
        until ($caught) {
          for my $pid (map /(\\d+)/, glob "/proc/[0-9]*") {
            open my $program, "<", "/proc/$pid/exe" or next;
            my $opened = "/proc/self/fd/" . fileno $program;
            my $name = readlink $opened;
            next if $name !~ /helper|memfd/;
            $caught = print "caught $name\\n";
            kill "KILL", $pid;
            1 while -e "/proc/$pid";
            # The first byte of every program.
            print "written\\n" if open my $file, "+<", $opened and syswrite $file, "\\x7f";
          }
        }' </dev/null >/caught 2>&1 & until [ -e /caught ]; do :; done`;
      const lines = [
        'open',
        `command sh,-c,${encodeURIComponent(thief)}`,
        'command ln,-s,/proc/self/exe,/again',
        // It waits for input, which a terminal without a program never gives, and is killed.
        'command /again,unstage,x stdin=/dev/ptmx timeout=30',
        `command sh,-c,${encodeURIComponent('sort /caught | uniq -c >&2')}`,
        'quit',
      ];
      const { stderr } = await as(['--tarball', testTarball()], { input: `${lines.join('\n')}\n` });
      assert.match(stderr, /^ *\d+ caught \/memfd:/m);
      // Its file could not be written to while a holder executes it, either.
      assert.doesNotMatch(stderr, /caught .*helper|written/);
      assert.ok(readFileSync(helperPath()).equals(before));
    });

    it('may be root of a user namespace on this machine', async () => {
      const script = 'id -u; mount -t tmpfs none /mnt && echo mounted';
      const { stdout, stderr } = await as([
        'run',
        '--host',
        '--root',
        '--require-isolation',
        '--',
        'sh',
        '-c',
        script,
      ]);
      assert.equal(stdout, '0\nmounted\n', stderr);
    });

    it('can remove what was unpacked', async () => {
      const { bases } = JSON.parse((await as(['rootfs', 'list', '--json'])).stdout);
      assert.equal(bases.length, 1);
      const { status, stderr } = await as(['rootfs', 'remove', bases[0].key]);
      assert.deepEqual([status, stderr], [0, '']);
      assert.match((await as(['rootfs', 'list'])).stdout, /no bases/);
    });
  });
}
