import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { CommandTimeoutError, TestbedError } from '../../../src/errors.ts';
import { findProgram } from '../../../src/processes/find.ts';
import { namespaceOf } from '../../../src/processes/list.ts';
import { processState } from '../../../src/processes/stat.ts';
import type { Provider } from '../../../src/testbed/provider.ts';
import type { OpenTestbed } from '../../../src/testbed/types.ts';
import { call, PROGRAM } from '../../support/program.ts';
import { projectDir } from '../../support/rootfs.ts';
import { itWithUsers, ONLY_ROOT } from '../../support/skip.ts';
import { script, testProvider, useTestbed } from '../../support/testbed.ts';

describe('a testbed', function () {
  this.timeout(120_000);
  const bed = useTestbed();
  const run = (text: string) => script(bed.testbed, text);

  it('runs commands as root in namespaces of its own, with a clean environment', async () => {
    const { stdout } = await run('id -u; id -g; pwd; umask; env | sort');
    assert.deepEqual(stdout.trimEnd().split('\n').slice(0, 4), ['0', '0', '/', '0022']);
    const names = [...stdout.matchAll(/^(\w+)=/gm)].map(([, name]) => name);
    assert.deepEqual(
      names.filter((name) => !['HOME', 'PATH', 'PWD', 'SHELL', '_'].includes(name ?? '')),
      [],
    );
    for (const type of ['mnt', 'pid', 'user'] as const) {
      assert.notEqual(namespaceOf(bed.testbed.pid, type), namespaceOf(process.pid, type));
    }
  });

  it('has a hostname that resolves, to IPv6 loopback too', async () => {
    const { stdout, stderr } = await run(
      'hostname; getent ahosts "$(hostname)" | head -n 1; grep -c "^::1 localhost" /etc/hosts',
    );
    const [name, address, lines] = stdout.split('\n');
    assert.equal(name, bed.provider.hostname);
    assert.match(address ?? '', /^127\.0\.1\.1 /);
    assert.equal(lines, '1');
    assert.equal(stderr, '');
  });

  it('has the devices that programs expect, and they work', async () => {
    const text = `
      for node in null zero full random urandom tty console ptmx; do [ -c /dev/$node ] || echo "no $node"; done
      for link in fd stdin stdout stderr; do [ -L /dev/$link ] || echo "no $link"; done
      head -c 3 /dev/zero | wc -c
      echo lost >/dev/null && echo lost >/dev/console
      echo x 2>/dev/null >/dev/full || echo full
      (echo through >/dev/stdout) | cat
      for folder in /dev/shm /run /run/lock /tmp; do echo x >$folder/x || echo "cannot write $folder"; done`;
    assert.equal((await run(text)).stdout, '3\nfull\nthrough\n');
  });

  itWithUsers('has a normal user with a home that is its own', async () => {
    const user = await bed.provider.normalUser();
    assert.ok(user !== undefined);
    const outcome = await script(bed.testbed, 'id -un; cd; touch mine && echo yes', { user });
    assert.equal(outcome.stdout, `${user}\nyes\n`);
    assert.equal((await run(`su -c 'id -un' ${user}`)).stdout, `${user}\n`);
  });

  it('gives exit statuses as they are, 254 and 255 as 253, and 128 + n for a signal', async () => {
    for (const [text, status] of [
      ['exit 0', 0],
      ['exit 1', 1],
      ['exit 137', 137],
      ['exit 254', 253],
      ['exit 255', 253],
      ['kill -9 $$', 137],
      ['kill -15 $$', 143],
      ['no-such-command', 127],
      ['/etc/passwd', 126],
    ] as const) {
      assert.equal((await run(text)).status, status, text);
    }
  });

  it('keeps a scratch directory that every user can write, at the same path after a revert', async () => {
    const before = bed.testbed.scratchDirectory;
    assert.equal((await run(`stat -c %a ${before}; : >${before}/mark; : >/usr/mark`)).stdout, '777\n');
    await bed.testbed.revert();
    assert.equal(bed.testbed.scratchDirectory, before);
    assert.equal(
      (await run(`ls -A ${before}; ls -d /usr/mark 2>/dev/null; stat -c %a ${before}`)).stdout,
      '777\n',
    );
  });

  it('ends the whole tree of a command that takes too long, and lives on', async () => {
    const begin = performance.now();
    const late = script(bed.testbed, 'trap "" TERM INT; sleep 987654 & (sleep 987654 &); sleep 987654', {
      timeout: 0.5,
    });
    await assert.rejects(late, CommandTimeoutError);
    assert.ok(performance.now() - begin < 30_000);
    const { stdout } = await run("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c '[s]leep 987654 ' || :");
    assert.equal(stdout.trim(), '0');
  });

  it('ends a command when it is aborted', async () => {
    const control = new AbortController();
    const aborted = script(bed.testbed, 'sleep 987653', { signal: control.signal });
    setTimeout(() => control.abort(), 50);
    await assert.rejects(aborted, CommandTimeoutError);
  });

  it('reports that it has died', async () => {
    const own = testProvider();
    const dead = await own.open();
    process.kill(dead.pid, 'SIGKILL');
    await assert.rejects(script(dead, 'true'), TestbedError);
    await own.dispose();
  });

  it('has only processes of its own in /proc', async () => {
    const { stdout } = await run('cd /proc; printf "%s\\n" [0-9]*');
    const pids = stdout.trim().split('\n').map(Number);
    assert.ok(pids.includes(1) && Math.max(...pids) < 10_000 && pids.length < 10, stdout);
    assert.equal(processState(bed.testbed.pid)?.pid, bed.testbed.pid);
  });
});

describe('root in a testbed', function () {
  this.timeout(120_000);
  let provider: Provider;
  let testbed: OpenTestbed;
  let secret: string;
  before(async () => {
    // Readable by everybody on the host: only the walls of the testbed are in the way.
    secret = mkdtempSync('/var/tmp/virt-ts-unshare-secret-');
    chmodSync(secret, 0o755);
    writeFileSync(join(secret, 'file'), 'the secret\n');
    provider = testProvider();
    testbed = await provider.open();
  });
  after(async () => {
    await provider.dispose();
    rmSync(secret, { recursive: true });
  });

  for (const [what, text] of [
    ['by its path', 'cat $secret'],
    ['through /proc/1/root', 'cat /proc/1/root$secret'],
    [
      'through any working directory',
      'for p in /proc/[0-9]*; do cat $p/cwd$secret; cat $p/cwd/../../../../../..$secret; done',
    ],
    ['through any open descriptor', 'for f in /proc/[0-9]*/fd/*; do cat $f$secret; cat $f/..$secret; done'],
    [
      'by a chroot below the working directory',
      'mkdir -p /t/u && cd / && chroot /t/u /bin/true; perl -e \'mkdir "/q"; chroot "/q"; chdir "../../../../../../.."; chroot "."; open F, $ENV{secret} and print <F>\'',
    ],
    ['by unmounting what is on top', 'umount -l /; umount -l /tmp; cat $secret /$secret'],
    [
      'by a mount of the overlay’s layers',
      'mount --bind / /mnt; cat /mnt$secret; ls /mnt/0 /mnt/skeleton && echo the secret',
    ],
    [
      'by a device of the host',
      'mknod /dev/sd b 254 0 && cat /dev/sd; mknod /dev/m c 1 1 && echo the secret',
    ],
    [
      'by another user namespace',
      'unshare -Ur cat $secret; nsenter -t 1 -m cat $secret; nsenter -t 1 -a cat $secret',
    ],
  ] as const) {
    it(`cannot read a file of the host ${what}`, async () => {
      const outcome = await script(testbed, text, { env: { secret: join(secret, 'file') } });
      assert.doesNotMatch(outcome.stdout, /the secret/);
    });
  }

  it('is not root outside, nor the caller where there are other ids', () => {
    const text = readFileSync(`/proc/${testbed.pid}/status`, 'utf8');
    const uid = Number(/^Uid:\t(\d+)/m.exec(text)?.[1]);
    assert.notEqual(uid, 0);
    if (!ONLY_ROOT) assert.notEqual(uid, process.getuid?.());
  });
});

describe("a root filesystem with programs of its own in the places of the host's", function () {
  this.timeout(120_000);

  it('has none of them run before its mounts are made', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-root-'));
    chmodSync(folder, 0o755);
    const tarball = join(folder, 'root.tar');
    const planted = join(folder, 'planted');
    for (const name of ['nsenter', 'pivot_root', 'mount', 'umount', 'cp', 'hostname', 'ip']) {
      const path = join(planted, findProgram(name) ?? name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, `#!/bin/sh\necho ${name} >>/planted; exec busybox ${name} "$@"\n`, { mode: 0o755 });
    }
    execFileSync('sh', [`${projectDir}test/race/make-root.sh`, 'dash', tarball]);
    execFileSync('tar', ['-rf', tarball, '--owner=0', '--group=0', '-C', planted, '.']);
    try {
      const script = 'cat /planted; nsenter --help; cat /planted';
      const { stdout, stderr } = await call([PROGRAM, 'run', '--tarball', tarball, '--', 'sh', '-c', script]);
      assert.equal(stdout, 'nsenter\n', stderr);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('bind mounts', function () {
  this.timeout(120_000);

  it('show a folder and a file of the host, at paths with links, spaces and commas in them', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare bind,\\'));
    const data = join(folder, 'da ta,:\\');
    mkdirSync(data);
    chmodSync(data, 0o777);
    chmodSync(folder, 0o700);
    writeFileSync(join(data, 'in'), 'from the host');
    writeFileSync(join(folder, 'file'), 'a file');
    const provider = testProvider({
      binds: [
        { outside: data, inside: '/srv/new place/data' },
        // In a Debian with merged /usr, /bin leads to /usr/bin.
        { outside: join(folder, 'file'), inside: '/bin/some-file' },
        { outside: join(folder, 'file'), inside: '/srv/a\nline and a blank ' },
        { outside: join(folder, 'file'), inside: '/srv/last' },
      ],
    });
    try {
      const testbed = await provider.open();
      const text =
        'cat "/srv/new place/data/in" /usr/bin/some-file; echo back >"/srv/new place/data/out"; ls -d /bin/sh';
      assert.equal((await script(testbed, text)).stdout, 'from the hosta file/bin/sh\n');
      assert.equal(readFileSync(join(data, 'out'), 'utf8'), 'back\n');
      const odd = await script(testbed, 'cat "/srv/a\nline and a blank " /srv/last');
      assert.equal(odd.stdout, 'a filea file');
    } finally {
      await provider.dispose();
      rmSync(folder, { recursive: true });
    }
  });

  it('let root of the testbed act as an ordinary caller there, and others no more than before', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-bind-'));
    const provider = testProvider({ binds: [{ outside: folder, inside: '/mnt' }] });
    const asRoot = process.geteuid?.() === 0;
    try {
      const testbed = await provider.open();
      writeFileSync(join(folder, 'private'), 'private', { mode: 0o600 });
      const { stdout } = await script(testbed, 'cat /mnt/private; echo back >/mnt/out; stat -c %u /mnt');
      // Real root is never given to a testbed: there, a bind has the permissions of others, as for files of other users.
      if (asRoot) assert.equal(stdout, '65534\n');
      else if (ONLY_ROOT) assert.equal(stdout, 'private0\n');
      else assert.equal(stdout, 'private65536\n');
      if (!asRoot) assert.equal(readFileSync(join(folder, 'out'), 'utf8'), 'back\n');
      if (!ONLY_ROOT) {
        const other = await script(testbed, 'cat /mnt/private; touch /mnt/other', { user: 'nobody' });
        assert.equal(other.stdout, '');
        assert.equal(existsSync(join(folder, 'other')), false);
      }
    } finally {
      await provider.dispose();
      rmSync(folder, { recursive: true });
    }
  });

  it('are read-only where that is asked for', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-bind-'));
    chmodSync(folder, 0o777);
    writeFileSync(join(folder, 'in'), 'from the host');
    const provider = testProvider({ binds: [{ outside: folder, inside: '/mnt', readOnly: true }] });
    try {
      const testbed = await provider.open();
      const { stdout, stderr } = await script(testbed, 'cat /mnt/in; echo back >/mnt/out');
      assert.equal(stdout, 'from the host');
      assert.match(stderr, /Read-only file system/);
      // mount(2) with MS_REMOUNT and MS_BIND, which root of a testbed may do with mounts of its own.
      const numbers: Readonly<Record<string, number>> = { x64: 165, arm64: 40 };
      const remount = `perl -e 'my @w = ("none", "/mnt", "none"); print syscall(${numbers[process.arch]}, @w, 0x1020, 0)'`;
      assert.equal((await script(testbed, `${remount}; echo back >/mnt/out`)).stdout, '-1');
      assert.deepEqual(readdirSync(folder), ['in']);
    } finally {
      await provider.dispose();
      rmSync(folder, { recursive: true });
    }
  });
});

describe('the scratch', function () {
  this.timeout(120_000);

  it('in memory is bounded, and full it gives ENOSPC and nothing worse', async () => {
    const provider = testProvider({ scratch: { kind: 'tmpfs', size: '4m' } });
    const testbed = await provider.open();
    const { stderr } = await script(testbed, 'head -c 10000000 /dev/zero >/var/big');
    assert.match(stderr, /No space left on device/);
    assert.equal((await script(testbed, 'rm /var/big; echo fine')).stdout, 'fine\n');
    await testbed.revert();
    assert.equal((await script(testbed, 'ls /var/big 2>/dev/null; echo fresh')).stdout, 'fresh\n');
    await provider.dispose();
  });

  it('on disk is gone after close', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-scratch-'));
    chmodSync(folder, 0o755);
    const provider = testProvider({ scratch: { kind: 'directory', path: folder } });
    const testbed = await provider.open();
    await script(testbed, 'mkdir -m 0 /a /a/b; chown 33:33 /a; echo x >/b');
    assert.equal(readdirSync(folder).length, 1);
    await testbed.revert();
    assert.equal((await script(testbed, 'ls -d /a /b 2>/dev/null; echo fresh')).stdout, 'fresh\n');
    await testbed.close();
    assert.deepEqual(readdirSync(folder), []);
    await provider.dispose();
    rmSync(folder, { recursive: true });
  });

  it('as a plain copy lets a test rename a folder of the image', async () => {
    const rename = 'perl -e \'rename("/usr/share", "/usr/moved") or print "$!"\'';
    const copy = testProvider({ mode: 'copy' });
    assert.equal((await script(await copy.open(), rename)).stdout, '');
    await copy.dispose();
    // The reason for the mode: should an overlay learn it, copy is no longer needed.
    const overlay = testProvider();
    assert.match((await script(await overlay.open(), rename)).stdout, /cross-device/);
    await overlay.dispose();
  });
});
