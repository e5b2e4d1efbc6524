import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from '../../../src/processes/find.ts';
import { FUSE } from '../../support/inside.ts';
import { call, PROGRAM, Terminal, virt } from '../../support/program.ts';
import { itWithUsers } from '../../support/skip.ts';

const host = (script: string, ...options: string[]) =>
  virt(['run', '--host', '--require-isolation', ...options, '--', 'sh', '-c', script]);
const leaks = (stderr: string) =>
  [...stderr.matchAll(/^virt-ts-unshare: left behind: (.*)$/gm)].map(([, what]) => what);
const asRoot = process.getuid?.() === 0;

describe('run --host', function () {
  this.timeout(60_000);

  it('keeps uid, gid, working directory and environment, and gives namespaces of its own', async () => {
    const cwd = homedir();
    const { stdout, stderr, status } = await virt(
      [
        'run',
        '--host',
        '--',
        'sh',
        '-c',
        'id -u; id -g; pwd; echo "$COLOUR"; echo $PPID; ls -A /tmp /dev/shm',
      ],
      { cwd, env: { COLOUR: 'blue' } },
    );
    assert.deepEqual(stdout.split('\n'), [
      String(process.getuid?.()),
      String(process.getgid?.()),
      cwd,
      'blue',
      '1',
      '/dev/shm:',
      '',
      '/tmp:',
      '',
    ]);
    assert.deepEqual([stderr, status], ['', 0]);
  });

  it('runs in a working directory that was removed, and a path there is the error', async () => {
    const script = 'mkdir "$1" && cd "$1" && rmdir "$1" && shift && exec "$@"';
    const gone = `${tmpdir()}/virt-ts-unshare-gone-${process.pid}`;
    const removed = (...words: string[]) =>
      call(['sh', '-c', script, 'sh', gone, process.execPath, PROGRAM, ...words]);
    const { stdout, status } = await removed('run', '--host', '--require-isolation', '--', 'echo', 'done');
    assert.deepEqual([stdout, status], ['done\n', 0]);
    const { stderr } = await removed('run', '--tarball', 'relative.tar', '--', 'true');
    assert.equal(
      stderr,
      'virt-ts-unshare: the working directory does not exist any more; change to another one (cd)\n',
    );
  });

  it('names each thing that was left, and nothing when all was cleaned up', async () => {
    const messy = await host(
      'echo x >/tmp/file; mkdir /tmp/folder; mount -t tmpfs mine /mnt; ipcmk -M 4096; ipcmk -Q; ipcmk -S 1;' +
        'echo y >/dev/shm/segment; setsid sleep 1234 >/dev/null 2>&1 </dev/null & until grep -q sleep /proc/$!/comm; do :; done; exit 7',
    );
    const id = process.getuid?.();
    const [daemon = '', ...others] = leaks(messy.stderr).sort(
      (a, b) => Number(b?.includes('1234')) - Number(a?.includes('1234')),
    );
    assert.match(daemon, new RegExp(`^process \\d+ \\(uid ${id}\\): sleep 1234$`));
    assert.deepEqual(others, [
      `file /dev/shm/segment (uid ${id}, 2 bytes)`,
      `file /tmp/file (uid ${id}, 2 bytes)`,
      `directory /tmp/folder (uid ${id})`,
      'mount of mine (tmpfs) on /mnt',
      `shared memory segment 0 (uid ${id}, 4096 bytes)`,
      `semaphore set 0 (uid ${id})`,
      `message queue 0 (uid ${id})`,
    ]);
    assert.equal(messy.status, 7);
    const tidy = await host(
      'echo x >/tmp/file; rm /tmp/file; mount -t tmpfs mine /mnt; umount /mnt; sleep 0.01 & wait; ipcrm -M "$(ipcmk -M 1 | tr -dc 0-9)" 2>/dev/null; ipcrm --all',
      '--fail-on-leak',
    );
    assert.deepEqual([tidy.stderr, tidy.status], ['', 0]);
  });

  it('finds what lies below a mount over /tmp, or where the directory was moved to', async () => {
    const hidden = await host('echo x >/tmp/file; mount -t tmpfs mine /tmp');
    const id = process.getuid?.();
    assert.deepEqual(leaks(hidden.stderr), [
      `file /tmp/file (uid ${id}, 2 bytes)`,
      'mount of mine (tmpfs) on /tmp',
    ]);
  });

  it('loses no output that helpers carry, and waits for no process that carries none', async () => {
    const tee = 'exec > >(tee /dev/null | (sleep 0.2; cat)); seq 1 20000; echo last';
    const run = await virt([
      'run',
      '--host',
      '--require-isolation',
      '--fail-on-leak',
      '--',
      'bash',
      '-c',
      tee,
    ]);
    assert.equal(run.stdout.split('\n').length, 20_002);
    assert.deepEqual([run.stderr, run.status], ['', 0]);
    const held = await host('sleep 1234 & echo done', '--fail-on-leak');
    assert.equal(held.stdout, 'done\n');
    assert.match(
      held.stderr,
      /^virt-ts-unshare: left behind, and ended for holding the output open: process [1-9]\d? \(uid \d+\): sleep 1234\n$/,
    );
    assert.equal(held.status, 1);
  });

  it('fails on a leak when asked to, and only if the command did not fail itself', async () => {
    assert.equal((await host('echo >/tmp/x', '--fail-on-leak')).status, 1);
    assert.equal((await host('echo >/tmp/x; exit 9', '--fail-on-leak')).status, 9);
  });

  it('gives back every kind of exit status', async () => {
    for (const status of [0, 1, 2, 126, 253, 254, 255])
      assert.equal((await host(`exit ${status}`)).status, status);
    assert.equal((await host('kill -9 $$')).status, 137);
    assert.equal((await host('kill -TERM $$')).status, 143);
    assert.equal((await virt(['run', '--host', '--', join(homedir(), 'absent')])).status, 127);
  });

  it('leaves the files elsewhere, and a working directory below /tmp, where they are', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    try {
      const run = await virt(['run', '--host', '--fail-on-leak', '--', 'sh', '-c', 'pwd; echo >made'], {
        cwd: folder,
      });
      assert.deepEqual(run, { status: 0, stdout: `${folder}\n`, stderr: '' });
      assert.ok(existsSync(join(folder, 'made')));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('lets the mode of a file stop an ordinary user, but not root', async () => {
    const { status, stdout } = await host('echo text >/tmp/x; chmod 0 /tmp/x; cat /tmp/x');
    assert.deepEqual([stdout, status], asRoot ? ['text\n', 0] : ['', 1]);
  });

  it('mounts FUSE file systems', async () => {
    assert.ok(findProgram('fuse2fs'), 'install the package fuse2fs');
    const folder = mkdtempSync(join(homedir(), 'virt-ts-unshare-test-'));
    try {
      const image = join(folder, 'image');
      writeFileSync(image, Buffer.alloc(2 ** 21));
      const { status, stdout, stderr } = await host(
        `mke2fs -q -E root_owner=$(id -u):$(id -g) ${image} && mkdir /tmp/m && fuse2fs ${image} /tmp/m &&
        stat /tmp/m >/dev/null && echo stored >/tmp/m/file && cat /tmp/m/file && grep -c " /tmp/m fuse" /proc/self/mounts && umount /tmp/m && rmdir /tmp/m`,
      );
      assert.deepEqual([stdout, status], ['stored\n1\n', 0], stderr);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('reports that there is no such program', async () => {
    const { stderr, status } = await host('exec /no/such/program');
    assert.equal(status, 127, stderr);
    const absent = await virt(['run', '--host', '--', 'no-such-program']);
    assert.deepEqual(absent, {
      status: 127,
      stdout: '',
      stderr: 'virt-ts-unshare: this machine has no program no-such-program\n',
    });
  });

  // An ordinary user without --root cannot unmount from outside, and the file that aborts is not on every machine.
  const mayAbort = /^\S+ \/sys\/fs\/fuse\/connections /m.test(readFileSync('/proc/mounts', 'utf8'));
  for (const options of asRoot || mayAbort ? [[], ['--root']] : [['--root']]) {
    it(`ends where a FUSE daemon waits for itself, with ${options.join() || 'no option'}`, async () => {
      const { stderr, status } = await host(`${FUSE} fuse /tmp/hangs child; exit 5`, ...options);
      assert.equal(status, 5, stderr);
      assert.match(stderr, /left behind: mount of hanging \(fuse\) on \/tmp\/hangs/);
      assert.doesNotMatch(stderr, /does not end/);
    });
  }

  itWithUsers('is root of a user namespace with --root', async () => {
    const { stdout } = await host('id -u; echo >/tmp/x; chown 1 /tmp/x && stat -c %u /tmp/x', '--root');
    assert.equal(stdout, '0\n1\n');
  });

  it('runs without user namespaces where there are none, and reports this in one line', async () => {
    // Root of a user namespace without CAP_SYS_ADMIN is no more than an ordinary user there.
    const without = (...words: string[]) =>
      call([
        ...(['unshare', '--user', '--map-root-user', 'sh', '-c'] as const),
        'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-sys_admin "$@"',
        ...['sh', process.execPath, PROGRAM, ...words],
      ]);
    const run = await without('run', '--host', '--', 'sh', '-c', 'echo done; exit 3');
    assert.equal(run.stdout, 'done\n');
    assert.match(
      run.stderr,
      /^virt-ts-unshare: isolation and leak checks are off: .*doctor names the remedy\n$/,
    );
    assert.equal(run.status, 3);
    const required = await without('run', '--host', '--require-isolation', '--', 'echo', 'done');
    assert.equal(required.stdout, '');
    assert.equal(required.status, 255);
  });

  it('shows an example', async () => {
    for (const verb of ['run', 'shell']) {
      const { stdout, status } = await virt([verb, '--help']);
      assert.match(stdout, new RegExp(`Examples:\n  virt-ts-unshare ${verb} `));
      assert.equal(status, 0);
    }
  });

  it('reports a wrong call', async () => {
    for (const [words, sentence] of [
      [['run', '--root', '--', 'true'], /--root cannot be used with run; it belongs to run --host/],
      [['run', '--host', 'true'], /unexpected word true; put -- before a command/],
      [['run', '--env', '1', '--', 'true'], /--env 1 does not set a variable/],
      [['run', '--host=1'], /--host takes no value/],
    ] as const) {
      const { stderr, status } = await virt(words);
      assert.match(stderr, sentence);
      assert.equal(status, 2);
    }
  });
});

describe('shell --host', function () {
  this.timeout(60_000);
  let terminal: Terminal;
  afterEach(() => terminal.close());

  it('has job control, the window size and the exit status, and hands the terminal back', async () => {
    terminal = new Terminal([PROGRAM, 'shell', '--host'], { PS1: 'ready> ' });
    await terminal.shows('ready> ');
    terminal.type('stty size; tty\n');
    await terminal.shows('31 97');
    await terminal.shows('ready> ');
    // exec: a shell that is stopped between its vfork(2) and execve(2) would wait for ever, anywhere.
    terminal.type("sh -c 'echo beg''un; exec sleep 100'\n");
    await terminal.shows('begun');
    terminal.type('\x1a');
    await terminal.shows('Stopped');
    await terminal.shows('ready> ');
    terminal.type('kill -9 %1; echo $(( 6 * 7 ))\n');
    await terminal.shows('42');
    await terminal.shows('ready> ');
    terminal.type("sh -c 'echo beg''un; exec sleep 100'\n");
    await terminal.shows('begun');
    terminal.type('\x03');
    await terminal.shows('ready> ');
    terminal.type('echo >/tmp/forgotten; exit 5\n');
    await terminal.shows('left behind: file /tmp/forgotten');
    await terminal.shows('status=5 foreground=+');
  });
});
