import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { FUSE } from '../../support/inside.ts';
import { virt } from '../../support/program.ts';
import { projectDir } from '../../support/rootfs.ts';
import { script, testProvider } from '../../support/testbed.ts';

describe('what holds the output of a command that has ended', function () {
  this.timeout(60_000);
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-drain-'));
    chmodSync(folder, 0o755);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('is ended where pid 1 has not got so far yet as to start the reader of its lifeline', async () => {
    const own = join(folder, 'own');
    const tarball = join(folder, 'root.tar');
    mkdirSync(join(own, 'bin'), { recursive: true });
    const shell = '#!/bin/dash\n[ $$ != 1 ] || until [ -e /go ]; do :; done\nexec /bin/dash "$@"\n';
    writeFileSync(join(own, 'bin/sh'), shell, { mode: 0o755 });
    execFileSync('sh', [`${projectDir}test/race/make-root.sh`, 'dash', tarball]);
    execFileSync('tar', ['-f', tarball, '--delete', './bin/sh']);
    execFileSync('tar', ['-rf', tarball, '--owner=0', '--group=0', '-C', own, './bin/sh']);
    const provider = testProvider({ root: { tarball } });
    try {
      const testbed = await provider.open();
      const outcome = await script(testbed, 'sleep 1000 & echo $!; exit 3', { timeout: 30 });
      assert.equal(outcome.status, 3);
      const after = await script(testbed, `: >/go; kill -0 ${outcome.stdout.trim()} 2>&1`);
      assert.equal(after.status, 1, 'its process is still there');
    } finally {
      await provider.dispose();
    }
  });

  it('is ended whatever its name, which may span lines', async () => {
    const provider = testProvider();
    try {
      const testbed = await provider.open();
      const leak = `perl -e '$0 = "a\\n) R 1 1"; sleep 1000' & until grep -q '^a' /proc/$!/comm; do :; done; echo $!`;
      const outcome = await script(testbed, leak, { timeout: 15 });
      const after = await script(testbed, `kill -0 ${outcome.stdout.trim()} 2>&1`);
      assert.equal(after.status, 1, 'its process is still there');
    } finally {
      await provider.dispose();
    }
  });

  it('is ended though its first thread has ended, or has other files', async () => {
    const program = join(folder, 'threads');
    const source = `${projectDir}test/support/threads.c`;
    execFileSync('gcc', ['-std=c17', '-static', '-pthread', '-o', program, source], { stdio: 'inherit' });
    const provider = testProvider();
    try {
      const testbed = await provider.open();
      await testbed.copyIn(Buffer.from(program), Buffer.from('/threads'));
      let ended = 0;
      for (const how of ['ended', 'own-files']) {
        const behind = `/threads ${how} | { read line; echo $line; : >/read-${how}; cat; } &`;
        const command = `${behind} until [ -e /read-${how} ]; do :; done; /threads ${how}`;
        const outcome = await script(testbed, command, { timeout: 30 });
        assert.deepEqual([outcome.status, outcome.stdout], [0, 'here\nhere\n'], how);
        const left = (await testbed.leaks()).flatMap((leak) => (leak.kind === 'process' ? [leak.ended] : []));
        ended += 2;
        assert.deepEqual(left, Array(ended).fill(true), how);
      }
    } finally {
      await provider.dispose();
    }
  });

  it('is no leak while it is only about to redirect its output, however busy the machine is', async function () {
    this.timeout(180_000);
    const provider = testProvider();
    const busy = ['-c', 'while :; do :; done'];
    const hogs = cpus().map(() => spawn('sh', busy, { stdio: 'ignore' }));
    try {
      const testbed = await provider.open();
      const slow = 'i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done';
      for (let round = 0; round < 200; round++) {
        const daemon = `(${slow}; exec sleep 1000 </dev/null >/dev/null 2>&1) & echo $!`;
        const { stdout } = await script(testbed, daemon, { timeout: 30 });
        assert.equal((await script(testbed, `kill ${stdout}`)).status, 0, `round ${round}: it was ended`);
      }
    } finally {
      for (const hog of hogs) hog.kill('SIGKILL');
      await provider.dispose();
    }
  });

  describe('where a process gets next to no time of a processor', function () {
    this.timeout(180_000);
    // In one session, since the kernel shares processors among sessions first (sched(7), "The autogroup feature").
    const busy = "taskset -c 0 sh -c 'while :; do :; done' </dev/null >/dev/null 2>&1 &";
    const slowly = (then: string) =>
      `taskset -c 0 chrt --idle 0 sh -c 'i=0; while [ $i -lt 10000 ]; do i=$((i + 1)); done; ${then}'`;

    it('is no leak while it is about to redirect its output', async () => {
      const provider = testProvider({ drainTimeout: 100 });
      try {
        const testbed = await provider.open();
        const daemon = `${busy} ${slowly('exec sleep 1000 </dev/null >/dev/null 2>&1')} & echo $!`;
        const { stdout } = await script(testbed, daemon, { timeout: 120 });
        assert.equal((await script(testbed, `kill ${stdout}`)).status, 0, 'it was ended');
      } finally {
        await provider.dispose();
      }
    });

    it('is no leak while a process that such a one has just started is about to redirect its output', async () => {
      const provider = testProvider({ drainTimeout: 100 });
      try {
        const testbed = await provider.open();
        const last = 'exec sleep 1000 </dev/null >/dev/null 2>&1';
        const chain = `${'('.repeat(10)}(${last}) & echo $! >/pid${') &'.repeat(10)}`;
        await script(testbed, `${busy} ${slowly(chain)} &`, { timeout: 120 });
        const alive = await script(testbed, 'kill $(cat /pid)');
        assert.equal(alive.status, 0, `it was ended: ${alive.stderr}`);
      } finally {
        await provider.dispose();
      }
    });

    it('is no leak while it waits for that process to open the other end of a FIFO', async () => {
      const provider = testProvider({ drainTimeout: 100 });
      try {
        const testbed = await provider.open();
        const chain = `mkfifo /p /q; ${busy} ${slowly('exec sed s/^/x/ >/q')} </p & cat </q & exec >/p; echo line`;
        assert.equal((await script(testbed, chain, { timeout: 120 })).stdout, 'xline\n');
      } finally {
        await provider.dispose();
      }
    });
  });

  it('is found though it has a file open whose file system does not answer', async () => {
    const provider = testProvider({ binds: [{ outside: '/dev/fuse', inside: '/dev/fuse' }] });
    try {
      const testbed = await provider.open();
      const hangs = await script(testbed, `${FUSE} fuse /mnt/hangs other`, { timeout: 20 });
      assert.equal(hangs.status, 0, hangs.stderr);
      // O_PATH opens without asking; perl's own open would ask afterwards.
      const leak = `perl -e 'use POSIX;
        my %openat = (x86_64 => 257, aarch64 => 56, riscv64 => 56, ppc64le => 286, s390x => 288);
        my $folder = "/mnt/hangs";
        syscall($openat{(POSIX::uname())[4]}, -100, $folder, 010000000) > 0 or die $!;
        open(G, ">", "/tmp/open");
        sleep 1000' & echo $!`;
      const { stdout } = await script(testbed, `${leak}; until [ -e /tmp/open ]; do :; done`, {
        timeout: 20,
      });
      assert.equal(
        (await script(testbed, `kill -0 ${stdout.trim()} 2>&1`)).status,
        1,
        'its process is still there',
      );
    } finally {
      await provider.dispose();
    }
  });

  it('is waited for also where a command runs on the machine itself', async () => {
    const { stdout, stderr, status } = await virt([
      ...['run', '--host', '--', 'bash', '-c', 'exec > >(sleep 0.5; cat); seq 1 2000; exit 4'],
    ]);
    assert.equal(stdout.split('\n').length, 2_001);
    assert.deepEqual([stderr, status], ['', 4]);
  });

  it('is ended after a part of a second, where so short a time was asked for', async () => {
    const provider = testProvider({ drainTimeout: 0.5 });
    try {
      const testbed = await provider.open();
      // A helper that reads nothing, so never makes progress.
      const begin = performance.now();
      const { status, stderr } = await script(
        testbed,
        'mkfifo /p; sleep 1000 </p & exec >/p; echo lost; exit 3',
        {
          timeout: 30,
        },
      );
      const took = performance.now() - begin;
      assert.deepEqual([status, stderr], [3, '']);
      assert.ok(took > 500 && took < 5_000, `${took} ms`);
      const leak = await script(testbed, 'sleep 1000 & exit 4', { timeout: 30 });
      assert.equal(leak.status, 4);
      assert.equal((await script(testbed, 'pidof sleep || echo none')).stdout, 'none\n');
    } finally {
      await provider.dispose();
    }
  });
});
