import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Leak } from '../../../src/leaks/leak.ts';
import type { TestbedOptions } from '../../../src/testbed/types.ts';
import { within } from '../../../src/wait.ts';
import { FUSE, TMPFS } from '../../support/inside.ts';
import { patience } from '../../support/patience.ts';
import { call, virt } from '../../support/program.ts';
import { testTarball } from '../../support/rootfs.ts';
import { Server } from '../../support/server.ts';
import { itWithUsers } from '../../support/skip.ts';
import { script, testProvider } from '../../support/testbed.ts';

describe('leaks of a testbed', function () {
  this.timeout(120_000);

  /** What a script leaves, found from outside. */
  async function leaksOf(text: string, changes: Partial<TestbedOptions> = {}): Promise<Leak[]> {
    const provider = testProvider(changes);
    try {
      const testbed = await provider.open();
      const { status, stderr } = await script(testbed, `set -e\n${text}`, { timeout: 30 });
      assert.equal(status, 0, stderr);
      return await testbed.leaks();
    } finally {
      await provider.dispose();
    }
  }
  const DAEMON = '</dev/null >/dev/null 2>&1 &';

  for (const [name, changes] of Object.entries({
    'an overlay': {},
    'a plain copy': { mode: 'copy' as const },
    'a network of its own': { network: 'none' as const },
    'something bound below /tmp': {
      binds: [
        { outside: '/usr/share', inside: '/tmp/deep/here' },
        { outside: '/etc/hostname', inside: '/run/deep/name' },
      ],
    },
  })) {
    it(`are none right after open, with ${name}`, async () => {
      assert.deepEqual(await leaksOf('true', changes), []);
    });
  }

  itWithUsers(
    'are files in the folders for temporary ones, with type, owner and size, and nothing elsewhere',
    async () => {
      const leaks = await leaksOf(`
      umask 022
      printf hello >/tmp/file
      chown 1000:1000 /tmp/file
      mkdir /tmp/folder
      printf x >"/tmp/folder/$(printf 'a\\nb\\033')"
      ln -s /etc/passwd /var/tmp/link
      mkfifo /run/lock/fifo
      printf abc >/dev/shm/shared
      printf elsewhere >/root/file`);
      const folder = leaks.find((leak) => leak.kind === 'file' && leak.path === '/tmp/folder');
      assert.equal(folder?.kind === 'file' && folder.type, 'directory');
      const owned = (path: string, type: string, size: number, id = 0) => {
        return { kind: 'file', path, type, uid: id, gid: id, size };
      };
      const byPath = (a: Leak, b: Leak) => JSON.stringify(a).localeCompare(JSON.stringify(b));
      assert.deepEqual(
        leaks.filter((leak) => leak !== folder).sort(byPath),
        [
          owned('/dev/shm/shared', 'file', 3),
          owned('/run/lock/fifo', 'fifo', 0),
          owned('/tmp/file', 'file', 5, 1000),
          owned('/tmp/folder/a%0Ab%1B', 'file', 1),
          owned('/var/tmp/link', 'link', 11),
        ].sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b))),
      );
    },
  );

  it('do not lead out of the testbed, whatever links it lays', async () => {
    const leaks = await leaksOf(`
      rm -rf /tmp /var
      ln -s /etc /tmp
      ln -s / /var`);
    assert.deepEqual(
      leaks.map((leak) => leak.kind === 'file' && [leak.path, leak.type]),
      [['/tmp', 'link']],
    );
  });

  it('are found in directories deeper than a process can hold open, and beside a mount that no daemon answers for', async () => {
    const leaks = await leaksOf(
      `cd /tmp
      perl -e 'for (1 .. 1500) { mkdir "d" x 20 or die; chdir "d" x 20 or die }'
      ${FUSE} fuse /tmp/hangs child
      echo >/tmp/last`,
      { binds: [{ outside: '/dev/fuse', inside: '/dev/fuse' }] },
    );
    const paths = leaks.flatMap((leak) => (leak.kind === 'file' ? [leak.path] : []));
    assert.ok(paths.includes('/tmp/last'));
    assert.ok(paths.includes(`/tmp${`/${'d'.repeat(20)}`.repeat(500)}`));
    assert.ok(leaks.some((leak) => leak.kind === 'mount' && leak.path === '/tmp/hangs'));
  });

  itWithUsers('are processes with their user and command line, in a pid namespace below too', async () => {
    const leaks = await leaksOf(`
      setsid sleep 1001 ${DAEMON}
      setpriv --reuid 1000 --regid 1000 --clear-groups sleep 1002 ${DAEMON}
      unshare --pid --fork sleep 1003 ${DAEMON}
      running() { for file in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$file; echo; done 2>/dev/null | grep -c '^sleep 100[123]'; }
      until [ "$(running)" = 3 ]; do sleep 0.01; done`);
    const processes = leaks.flatMap((leak) => (leak.kind === 'process' ? [leak] : []));
    assert.equal(leaks.length, processes.length);
    const commands = processes.map(({ command, uid }) => `${uid} ${command}`).sort();
    for (const wanted of [
      '0 sleep 1001',
      '0 sleep 1003',
      '0 unshare --pid --fork sleep 1003',
      '1000 sleep 1002',
    ]) {
      assert.ok(commands.includes(wanted), `${wanted} is not among ${commands.join(', ')}`);
    }
    for (const { pid } of processes) assert.ok(pid > 1 && pid < 1000, `${pid} is no pid of the testbed`);
  });

  it('are mounts, and IPC objects of System V', async () => {
    const leaks = await leaksOf(`
      ${TMPFS}
      mkdir "/mnt/a b"
      tmpfs mine "/mnt/a b"
      perl -e 'shmget(77, 5000, 0600 | 512) // die; semget(78, 3, 0600 | 512) // die; msgget(79, 0600 | 512) // die'`);
    const shown = leaks.map(({ kind, ...rest }) => ({ kind, ...rest, ...('id' in rest ? { id: '' } : {}) }));
    assert.deepEqual(shown, [
      { kind: 'mount', path: '/mnt/a b', type: 'tmpfs', source: 'mine' },
      { kind: 'ipc', type: 'shm', id: '', uid: 0, size: 5000 },
      { kind: 'ipc', type: 'sem', id: '', uid: 0, size: 3 },
      { kind: 'ipc', type: 'msg', id: '', uid: 0, size: 0 },
    ]);
  });

  it('are POSIX message queues, with their owner and the bytes in them', async () => {
    const leaks = await leaksOf(`
      perl -e 'use POSIX;
        my %open = (x86_64 => 240, aarch64 => 180, riscv64 => 180, ppc64le => 262, s390x => 271);
        my $open = $open{(POSIX::uname())[4]};
        my ($name, $words) = ("a queue", "hello");
        # Without a slash: the C library strips it. Two numbers on is mq_timedsend.
        (my $queue = syscall($open, $name, O_CREAT | O_RDWR, 0600, 0)) >= 0 or die "mq_open: $!";
        syscall($open + 2, $queue, $words, length $words, 0, 0) == 0 or die "mq_timedsend: $!"'`);
    assert.deepEqual(leaks, [{ kind: 'ipc', type: 'mqueue', id: '/a queue', uid: 0, size: 5 }]);
  });

  it('are network interfaces, where the network is its own', async () => {
    const changes = { root: { tarball: testTarball('lab') }, network: 'none' as const };
    const leaks = await leaksOf(
      'ip link add left0 type bridge; ip link add left1 type veth peer name left2',
      changes,
    );
    const names = leaks.map((leak) => (leak.kind === 'interface' ? leak.name : JSON.stringify(leak)));
    assert.deepEqual(names.sort(), ['left0', 'left1', 'left2']);
  });

  describe('that held the output of a command open', () => {
    const endedIn = (leaks: readonly Leak[]) => leaks.filter((leak) => leak.kind === 'process' && leak.ended);

    it('are reported though they were ended, for every caller of the command, until the revert', async () => {
      const provider = testProvider();
      try {
        const testbed = await provider.open();
        await script(testbed, 'sleep 1001 & exit 7');
        const [shell = '', ...words] = testbed.executeCommand;
        await call([shell, ...words, 'sh', '-c', 'sleep 1002 & sleep 1003 &']);
        const ended = endedIn(await testbed.leaks());
        assert.deepEqual(
          ended.flatMap((leak) => (leak.kind === 'process' ? [leak.command, leak.uid] : [])).sort(),
          [0, 0, 0, 'sleep 1001', 'sleep 1002', 'sleep 1003'],
        );
        await testbed.revert();
        assert.deepEqual(await testbed.leaks(), []);
      } finally {
        await provider.dispose();
      }
    });

    it('are written into a file without a name that only the caller can open', async () => {
      const asked = testProvider();
      try {
        const testbed = await asked.open();
        const path = testbed.executeCommand[testbed.executeCommand.indexOf('-l') + 1] ?? '';
        const { nlink, mode, uid } = statSync(path);
        assert.deepEqual([nlink, mode & 0o7777, uid], [0, 0o600, process.getuid?.()]);
        const { stdout } = await script(testbed, 'ls /proc/self/fd');
        assert.equal(stdout, '0\n1\n2\n3\n');
        await testbed.close();
        assert.equal(existsSync(path), false);
      } finally {
        await asked.dispose();
      }
    });

    it('fail no command when they cannot be reported', async () => {
      const provider = testProvider();
      try {
        const testbed = await provider.open();
        const [shell = '', ...words] = testbed.executeCommand;
        words[words.indexOf('-l') + 1] = '/proc/self/fd/1000';
        const { status, stdout, stderr } = await call([
          shell,
          ...words,
          'sh',
          '-c',
          'sleep 1001 & echo out; exit 3',
        ]);
        assert.deepEqual([status, stdout, stderr], [3, 'out\n', '']);
        assert.deepEqual(await testbed.leaks(), []);
      } finally {
        await provider.dispose();
      }
    });

    it('are not written into the file of another process that has the pid of the server now', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-leaks-'));
      const file = join(folder, 'file');
      writeFileSync(file, 'untouched', { mode: 0o644 });
      const provider = testProvider();
      try {
        const testbed = await provider.open();
        const words = [...testbed.executeCommand];
        words[words.indexOf('-l') + 1] = file;
        await testbed.close();
        const [helper = '', ...more] = words;
        const { status } = await call([helper, ...more, 'true']);
        assert.equal(status, 255);
        assert.equal(readFileSync(file, 'utf8'), 'untouched');
      } finally {
        await provider.dispose();
        rmSync(folder, { recursive: true });
      }
    });

    it('have their own names truncated and without control characters', async () => {
      const leaks = await leaksOf(
        `perl -e '$0 = "a\\n\\033[31m" x 1000; sleep 1000' &
        until grep -q '^a' /proc/$!/comm; do :; done`,
      );
      const [leak] = endedIn(leaks);
      assert.match(leak?.kind === 'process' ? leak.command : '', /^(a%0A%1B\[31m){10,}[a0-9A-B%[]*$/);
      assert.ok(JSON.stringify(leak).length < 700);
    });

    it('are reported by a server, for commands of the driver and of exec too, and leave nothing when it is killed', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-leaks-'));
      const hostname = `leaks-${process.pid}`;
      const argv = [
        '--tarball',
        testTarball(),
        '--hostname',
        hostname,
        `--report-leaks=json:${folder}/report`,
      ];
      const env = { XDG_RUNTIME_DIR: folder };
      const server = Server.start({ argv, env });
      try {
        await server.reply();
        await server.ask('open');
        await server.ask('command sh,-c,sleep%201001%20%26');
        const [words = ''] = await server.ask('print-execute-command');
        const [shell = '', ...others] = words.split(',').map(decodeURIComponent);
        await call([shell, ...others, 'sh', '-c', 'sleep 1002 &']);
        await virt(['exec', hostname, '--', 'sh', '-c', 'sleep 1003 &'], { env });
        await server.ask('revert');
        const lines = readFileSync(join(folder, 'report'), 'utf8').trimEnd().split('\n');
        const told = lines
          .map((line) => JSON.parse(line))
          .map(({ at, command, ended }) => [at, command, ended]);
        assert.deepEqual(told, [
          ['command', 'sleep 1001', true],
          ...['1001', '1002', '1003'].map((time) => ['revert', `sleep ${time}`, true]),
        ]);
        await server.kill('SIGKILL');
        assert.deepEqual(await server.leftAfter(5000), []);
        const names = readdirSync(join(folder, 'virt-ts-unshare/testbeds'));
        assert.deepEqual(
          names.filter((name) => !name.endsWith('.json')),
          [],
        );
      } finally {
        server.endOfFile();
        await server.reaped;
        rmSync(folder, { recursive: true });
      }
    });
  });

  it('are reported to a stderr that no process reads without blocking the server', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-leaks-'));
    const fifo = join(folder, 'stderr');
    execFileSync('mkfifo', [fifo]);
    const unread = openSync(fifo, 'r+');
    const server = Server.start({
      by: ['sh', '-c', 'exec "$@" 2>"$0"', fifo],
      argv: ['--tarball', testTarball(), '--report-leaks=json'],
    });
    try {
      await server.reply();
      await server.ask('open');
      // More than a pipe takes.
      const fill = 'i=0; while [ $i -lt 900 ]; do : >/tmp/$i; i=$((i + 1)); done';
      const asked = server.ask(`command sh,-c,${encodeURIComponent(fill)}`);
      assert.ok(await within(asked, patience(10_000)));
    } finally {
      closeSync(unread);
      server.endOfFile();
      await server.reaped;
      rmSync(folder, { recursive: true });
    }
  });

  it('are reported once for a command, and again at revert and close, in a file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-leaks-'));
    const leakFile = join(folder, 'report');
    const provider = testProvider({ reportLeaks: 'json', leakFile });
    try {
      const testbed = await provider.open();
      await testbed.run(['touch', '/tmp/one']);
      await testbed.run(['touch', '/tmp/two']);
      await testbed.revert();
      await testbed.run(['touch', '/tmp/three']);
      await testbed.close();
      const lines = readFileSync(leakFile, 'utf8').trimEnd().split('\n');
      const told = lines.map((line) => JSON.parse(line)).map(({ at, path }) => `${at} ${path}`);
      assert.deepEqual(told.slice(0, 2), ['command /tmp/one', 'command /tmp/two']);
      assert.deepEqual(told.slice(2, 4).sort(), ['revert /tmp/one', 'revert /tmp/two']);
      assert.deepEqual(told.slice(4), ['command /tmp/three', 'close /tmp/three']);
    } finally {
      await provider.dispose();
      rmSync(folder, { recursive: true });
    }
  });
});
