/** run --detach, logs, stats and close, as a person uses them. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { isAlive, nameOf } from '../../../src/processes/identity.ts';
import { allPids, childrenOf, commandLine } from '../../../src/processes/list.ts';
import { register, registered } from '../../../src/processes/open-testbeds.ts';
import { waitUntil } from '../../../src/wait.ts';
import { makeRoots } from '../../race/beds.ts';
import { patience } from '../../support/patience.ts';
import { call, ended, PROGRAM, Terminal, virt } from '../../support/program.ts';
import { testTarball } from '../../support/rootfs.ts';
import { skip } from '../../support/skip.ts';
import { testProvider } from '../../support/testbed.ts';

const root = ['--tarball', testTarball()];
const LIMIT = patience(20_000);

/** Another for each run of the tests, which may run at the same time. */
const called = (what: string) => `${what}-${process.pid}`;

interface Open {
  readonly name: string;
  readonly pid: number;
  readonly owner: number;
}

async function openNamed(name: string): Promise<Open | undefined> {
  const { stdout } = await virt(['ps', '--json']);
  const all: Open[] = JSON.parse(stdout);
  return all.find((each) => each.name === name);
}

describe('run --detach', function () {
  this.timeout(60_000);
  const names: string[] = [];
  const detach = (name: string, ...words: string[]) => {
    names.push(name);
    return virt(['run', '--detach', '--name', name, ...root, ...words]);
  };
  afterEach(async () => {
    for (const name of names.splice(0)) await virt(['close', name]);
  });

  it('prints the name and returns; the testbed stays open until close, which ends all of it', async () => {
    const name = called('kept');
    const run = await detach(name, '--', 'sh', '-c', 'echo out; echo err >&2; read forever </dev/zero');
    assert.deepEqual(run, { status: 0, stdout: `${name}\n`, stderr: '' });
    const open = await openNamed(name);
    assert.ok(open);
    const [keeper, testbed] = [nameOf(open.owner), nameOf(open.pid)];
    const { stdout } = await virt(['exec', name, '--', 'hostname']);
    assert.equal(stdout, `${name}\n`);
    assert.equal((await virt(['logs', name])).stdout, 'out\nerr\n');
    assert.deepEqual(await virt(['close', name]), { status: 0, stdout: '', stderr: '' });
    assert.deepEqual([isAlive(keeper), isAlive(testbed)], [false, false]);
    assert.equal((await virt(['logs', name])).status, 2);
  });

  it('leaves no process that has the terminal, a pipe or the directory of the caller open', async () => {
    const name = called('apart');
    names.push(name);
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-detach-'));
    const line = `"$@" 2>&1 | cat; echo closed`;
    const words = ['run', '--detach', '--name', name, ...root];
    const { stdout } = await call(['sh', '-c', line, 'sh', process.execPath, PROGRAM, ...words], {
      cwd: folder,
    });
    assert.equal(stdout, `${name}\nclosed\n`);
    const open = await openNamed(name);
    const files = (of: string) =>
      execFileSync('sh', ['-c', `readlink /proc/${open?.owner}/${of}`], { encoding: 'utf8' });
    assert.equal(files('cwd'), '/\n');
    assert.doesNotMatch(files('fd/*'), /\/dev\/(pts|tty)/);
    rmSync(folder, { recursive: true });
  });

  it('closes the testbed when the command has ended, and keeps its output and status', async () => {
    const name = called('ended');
    await detach(name, '--', 'sh', '-c', 'echo one; sleep 0.2; echo two; exit 3');
    const { stdout, status } = await virt(['logs', '--follow', name]);
    assert.equal(stdout, 'one\ntwo\nvirt-ts-unshare: the command ended with status 3\n');
    assert.equal(status, 0);
    assert.equal(await openNamed(name), undefined);
    assert.equal((await virt(['close', name])).status, 0);
    assert.equal((await virt(['close', name])).status, 2);
  });

  it('makes the image of --commit, whose recipe has the tarball that was meant', async () => {
    const [name, tarball] = [called('committed'), testTarball()];
    const words = ['run', '--detach', '--name', name, '--commit', name, '--tarball', basename(tarball)];
    await virt([...words, '--', 'touch', '/made'], { cwd: dirname(tarball) });
    await virt(['logs', '--follow', name]);
    const { stdout } = await virt(['rootfs', 'list', '--json']);
    assert.equal((await virt(['rootfs', 'remove', name])).status, 0);
    const images: { name: string; recipe?: { from: string } }[] = JSON.parse(stdout).images;
    assert.equal(images.find((each) => each.name.startsWith(name))?.recipe?.from, tarball);
    await virt(['close', name]);
  });

  it('names the directory for temporary files that does not exist', async () => {
    const name = called('temporary');
    const words = ['run', '--detach', '--name', name, ...root, '--', 'true'];
    const { stderr, status } = await virt(words, { env: { TMPDIR: '/absent' } });
    assert.equal(
      stderr,
      'virt-ts-unshare: cannot make a temporary directory in /absent: ENOENT: no such file or directory; set TMPDIR to a directory that this user can write to\n',
    );
    assert.equal(status, 2);
    assert.equal(await openNamed(name), undefined);
  });

  it('fails like run when the command cannot be run', async () => {
    for (const [words, sentence, wanted] of [
      [['--', 'no-such-program'], /^virt-ts-unshare: the testbed has no program no-such-program\n$/, 127],
      [['--user', 'stranger', '--', 'true'], /^virt-ts-unshare: .* it has no user stranger\n$/, 255],
      [['--', '/etc/passwd'], /^virt-ts-unshare: cannot execute \/etc\/passwd .*\n$/, 126],
      [['--tarball', '/absent.tar'], /absent\.tar/, 2],
    ] as const) {
      const name = called('fails');
      const { stdout, stderr, status } = await detach(name, ...words);
      assert.match(stderr, sentence);
      assert.deepEqual([stdout, status], ['', wanted]);
    }
    assert.equal(await openNamed(called('fails')), undefined);
    assert.equal((await virt(['logs', called('fails')])).status, 2);
  });

  it('ends when pid 1 of the testbed is killed, without a command too', async () => {
    for (const command of [[], ['--', 'sleep', '1000']]) {
      const name = called('killed');
      await detach(name, ...command);
      const open = await openNamed(name);
      assert.ok(open);
      const keeper = nameOf(open.owner);
      // The one that run itself would get: root of the testbed cannot kill it.
      process.kill(open.pid, 'SIGKILL');
      assert.ok(await waitUntil(() => !isAlive(keeper), LIMIT));
    }
  });

  it('leaves nothing when the process that keeps the testbed is killed', async () => {
    const name = called('orphan');
    await detach(name, '--', 'sleep', '1000');
    const open = await openNamed(name);
    assert.ok(open);
    const testbed = nameOf(open.pid);
    process.kill(open.owner, 'SIGKILL');
    assert.ok(await waitUntil(() => !isAlive(testbed), LIMIT));
    assert.equal(await openNamed(name), undefined);
    // The name is free again.
    assert.equal((await detach(name)).status, 0);
  });

  it('closes the testbed when the process that waits for it was killed', async () => {
    const name = called('abandoned');
    const { folder, tarball } = makeRoots(['busybox']);
    const [go, reported] = [join(folder, 'go'), join(folder, 'stderr')];
    execFileSync('mkfifo', [go]);
    // Its keeper waits for a writer of this FIFO.
    const slow = `sh -c 'cat ${go}; cp ${tarball('busybox')} "$1"'`;
    const words = ['run', '--detach', '--name', name, '--release', 'slow', '--bootstrapcmd', slow];
    const env = { XDG_CACHE_HOME: folder };
    const child = spawn(process.execPath, [PROGRAM, ...words, '--', 'sleep', '1000'], {
      stdio: ['ignore', 'pipe', openSync(reported, 'w')],
      env: { ...process.env, ...env },
    });
    const { pid = 0 } = child;
    assert.ok(await waitUntil(() => childrenOf(pid).length > 0, LIMIT));
    const processes = childrenOf(pid).map(nameOf);
    child.kill('SIGKILL');
    await once(child, 'close');
    writeFileSync(go, '');
    assert.ok(await waitUntil(() => !processes.some(isAlive), LIMIT));
    assert.match(
      readFileSync(reported, 'utf8'),
      /^virt-ts-unshare: the testbed \S+ was closed, because the process that opened it was killed\n$/m,
    );
    assert.equal(await openNamed(name), undefined);
    await virt(['rootfs', 'prune', '--all'], { env });
    rmSync(folder, { recursive: true });
  });

  it('ends what it has begun when it is interrupted', async () => {
    const name = called('interrupted');
    const cache = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-detach-'));
    const slow = ['--release', 'slow', '--bootstrapcmd', "sh -c 'exec sleep 1000'"];
    const terminal = new Terminal([PROGRAM, 'run', '--detach', '--name', name, ...slow], {
      XDG_CACHE_HOME: cache,
    });
    await terminal.shows('building slow-');
    terminal.type('\x03');
    await terminal.shows('status=130');
    await terminal.close();
    const left = allPids()
      .map(commandLine)
      .filter((line) => line.includes(name));
    assert.deepEqual(left, []);
    rmSync(cache, { recursive: true });
  });

  it('keeps the last megabytes of the output', async () => {
    const name = called('long');
    await detach(
      name,
      '--',
      'sh',
      '-c',
      'i=0; while [ $i -lt 9 ]; do i=$((i + 1)); head -c 1048576 /dev/zero | tr "\\0" $i; done',
    );
    await virt(['logs', '-f', name]);
    const { stdout } = await virt(['logs', name]);
    assert.match(stdout, /^5+6+7+8+9+virt-ts-unshare: the command ended with status 0\n$/);
    assert.ok(stdout.length > 4 * 1024 ** 2 && stdout.length <= 8 * 1024 ** 2, String(stdout.length));
  });

  it('does not take the name of an open testbed', async () => {
    const name = called('twice');
    await detach(name);
    for (const words of [['--detach'], ['--', 'true']]) {
      const { stderr, status } = await virt(['run', '--name', name, ...root, ...words]);
      assert.match(
        stderr,
        new RegExp(
          `the name ${name} belongs to another testbed .*; close it with virt-ts-unshare close ${name}`,
        ),
      );
      assert.equal(status, 2);
    }
  });

  it('is known by a name that it makes, where none is given', async () => {
    const { stdout } = await virt(['run', '--detach', ...root]);
    const name = stdout.trim();
    names.push(name);
    assert.match(name, /^testbed-[0-9a-f]{6}$/);
    assert.equal((await virt(['exec', name, '--', 'hostname'])).stdout, stdout);
  });

  it('has figures', async () => {
    const name = called('counted');
    await detach(name, '--', 'sh', '-c', 'head -c 3000000 /dev/zero >/big; sleep 1000');
    const stats = async (...words: string[]) => (await virt(['stats', ...words])).stdout;
    const { pid } = (await openNamed(name)) ?? {};
    await waitUntil(() => false, 200);
    const [one] = JSON.parse(await stats(name, '--json'));
    assert.deepEqual(Object.keys(one), ['name', 'pid', 'processes', 'memory', 'layer']);
    assert.equal(one.pid, pid);
    assert.ok(one.processes >= 1 && one.memory > 50_000 && one.memory < 100_000_000, JSON.stringify(one));
    assert.match(await stats(), new RegExp(`^NAME +PID .*^${name} +${pid} +[12] +\\S+ +\\S+$`, 'ms'));
    assert.equal((await virt(['stats', called('nowhere')])).status, 2);
  });
});

describe('close', function () {
  this.timeout(60_000);

  it('stops waiting when it is interrupted, and does not wait for one before it closes the next', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-close-'));
    const env = { XDG_RUNTIME_DIR: folder };
    const script = "trap 'echo asked' TERM; echo begun; while :; do sleep 0.05; done";
    const openers = { deaf: spawn('sh', ['-c', script]), obedient: spawn('sleep', ['1000']) };
    const said = openers.deaf.stdout.setEncoding('utf8');
    try {
      await once(said, 'data');
      for (const [name, { pid = 0 }] of Object.entries(openers)) {
        const opener = nameOf(pid);
        const facts = { name, since: 0, root: '/', scratch: '', ownNetwork: false, owner: pid, opener };
        register({ ...opener, ...facts }, env);
      }
      const child = spawn(process.execPath, [PROGRAM, 'close', ...Object.keys(openers)], {
        env: { ...process.env, ...env },
      });
      const end = ended(child);
      await Promise.all([once(said, 'data'), once(openers.obedient, 'exit')]);
      child.kill('SIGINT');
      assert.deepEqual(await end, { status: 130, stdout: '', stderr: '' });
    } finally {
      for (const opener of Object.values(openers)) opener.kill('SIGKILL');
      rmSync(folder, { recursive: true });
    }
  });

  it('ends a shell of another terminal, and leaves what a library has opened', async () => {
    const name = called('elsewhere');
    const terminal = new Terminal([PROGRAM, 'shell', '--name', name, ...root]);
    await terminal.shows(`root@${name}:~# `);
    assert.equal((await virt(['close', name])).status, 0);
    await terminal.shows('status=143');
    await terminal.close();

    const provider = testProvider({ hostname: called('by-a-library') });
    const testbed = await provider.open();
    const { stderr, status } = await virt(['close', called('by-a-library')]);
    assert.match(
      stderr,
      /was opened by a driver, a library or a laboratory \(process \d+\); end that process/,
    );
    assert.equal(status, 2);
    await testbed.run(['true']);
    await provider.dispose();
  });
});

describe('a testbed', function () {
  this.timeout(60_000);

  it('is out of reach of another user', async function () {
    if (process.geteuid?.() !== 0) return skip(this, 'only root can become another user');
    const other = ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', '--reset-env'] as const;
    if ((await call([...other, 'cat', PROGRAM], { cwd: '/' })).status !== 0) {
      return skip(this, 'another user may not read this checkout');
    }
    const name = called('private');
    await virt(['run', '--detach', '--name', name, ...root]);
    const { pid } = (await openNamed(name)) ?? {};
    try {
      for (const words of [
        ['exec', name, '--', 'true'],
        ['exec', String(pid), '--', 'true'],
        ['stats', name],
        ['logs', name],
        ['close', name],
        ['cp', `${name}:/etc/hostname`, '-'],
      ]) {
        const { stdout, stderr, status } = await call([...other, process.execPath, PROGRAM, ...words], {
          cwd: '/',
        });
        assert.match(stderr, /this user has no open testbed/, words.join(' '));
        assert.deepEqual([stdout, status], ['', 2]);
      }
      const { stdout } = await call([...other, process.execPath, PROGRAM, 'ps'], { cwd: '/' });
      assert.doesNotMatch(stdout, new RegExp(name));
    } finally {
      await virt(['close', name]);
    }
  });

  it('is not registered by another user', () => {
    const runtime = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-detach-'));
    const env = { XDG_RUNTIME_DIR: runtime };
    const name = called('planted');
    const { pid, startTime } = nameOf(process.pid);
    const entry = { pid, startTime, name, since: 0, root: '/', scratch: '', ownNetwork: false, owner: pid };
    const strike = register(entry, env);
    const isListed = () => registered(env).some((each) => each.name === name);
    const folder = join(runtime, 'virt-ts-unshare');
    assert.deepEqual([readdirSync(folder), isListed()], [['testbeds'], true]);
    // Others could write there, so that what is there may be theirs.
    chmodSync(folder, 0o777);
    assert.equal(isListed(), false);
    chmodSync(folder, 0o700);
    if (process.geteuid?.() === 0) {
      chownSync(folder, 65534, 65534);
      assert.equal(isListed(), false);
    }
    strike();
    rmSync(runtime, { recursive: true });
  });
});
