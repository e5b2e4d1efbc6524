/** Stage and holder: what ends them early, stops them or reaches them from the caller never leaves an open without an answer. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { TestbedError } from '../../../src/errors.ts';
import { helperWords, parseEvents } from '../../../src/helper.ts';
import type { Argv } from '../../../src/host.ts';
import { silentLog } from '../../../src/log.ts';
import { Holder } from '../../../src/namespaces/holder.ts';
import type { Run } from '../../../src/namespaces/run.ts';
import * as steps from '../../../src/namespaces/steps.ts';
import { isAlive } from '../../../src/processes/identity.ts';
import { childrenOf, commandLine, signalProcess } from '../../../src/processes/list.ts';
import { processState } from '../../../src/processes/stat.ts';
import { openCache } from '../../../src/rootfs/cache.ts';
import { idMapsFor } from '../../../src/testbed/holding.ts';
import { waitUntil, within } from '../../../src/wait.ts';
import { copyArchive } from '../../support/archive.ts';
import { patience } from '../../support/patience.ts';
import { call, ended, PROGRAM, virt } from '../../support/program.ts';
import { testTarball } from '../../support/rootfs.ts';
import { skip } from '../../support/skip.ts';
import { testOptions, testProvider } from '../../support/testbed.ts';

/** The stage is the holder's parent. */
function stageOf(holder: Holder): number {
  return processState(holder.pid)?.parent ?? assert.fail('the holder has ended');
}

interface Freezer {
  freeze(pid: number): void;
  thaw(): void;
  remove(): void;
}

/** A cgroup of version 1; that of version 2 lets SIGKILL pass. */
function freezer(): Freezer | undefined {
  const path = `/sys/fs/cgroup/freezer/vtu-test-${process.pid}`;
  try {
    mkdirSync(path);
  } catch {
    return undefined;
  }
  const state = (word: string) => writeFileSync(join(path, 'freezer.state'), word);
  return {
    freeze: (pid) => {
      writeFileSync(join(path, 'cgroup.procs'), String(pid));
      state('FROZEN');
    },
    thaw: () => state('THAWED'),
    remove: () => rmdirSync(path),
  };
}

/** Steps that take long enough for their process to be found. */
const copyFrom = (source: string, holder: Holder): Run =>
  holder.run('m', [
    steps.root('/'),
    steps.mount('tmpfs', '/mnt/scratch', ''),
    steps.copy(source, '/mnt/scratch'),
  ]);

describe('stage and holder', function () {
  this.timeout(60_000);

  it('show short names in a list of processes, and none of what they were started with', async () => {
    const provider = testProvider();
    try {
      const holder = await provider.holder();
      const title = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').replace(/\0+$/, '');
      assert.deepEqual(
        [title(stageOf(holder)), title(holder.pid)],
        ['virt-ts-unshare stage', 'virt-ts-unshare holder'],
      );
    } finally {
      await provider.dispose();
    }
  });

  it('end with the programs of the host that were started in them', async () => {
    const holder = await testProvider().holder();
    const [program = '', ...argv] = holder.enter(['sleep', '1000']);
    const started = spawn(program, argv, { stdio: 'ignore' });
    const exited = once(started, 'exit');
    const { pid = 0 } = started;
    assert.ok(await waitUntil(() => commandLine(pid) === 'sleep 1000', patience(5_000)));
    await holder.stop();
    assert.ok(await within(exited, patience(5_000)));
    assert.equal(started.signalCode, 'SIGKILL');
  });

  it('name a process that SIGKILL does not end', async function () {
    const frozen = freezer();
    if (frozen === undefined)
      return skip(this, 'a cgroup whose processes survive SIGKILL needs root and version 1');
    const holder = await testProvider().holder();
    const [program = '', ...argv] = holder.enter(['sleep', '1000']);
    const started = spawn(program, argv, { stdio: 'ignore' });
    const exited = once(started, 'exit');
    const { pid = 0 } = started;
    try {
      assert.ok(await waitUntil(() => commandLine(pid) === 'sleep 1000', patience(5_000)));
      frozen.freeze(pid);
      await assert.rejects(holder.stop(), {
        code: 'LEFT_OVER',
        message: new RegExp(`\\b${pid} \\(sleep 1000\\)`),
      });
    } finally {
      frozen.thaw();
    }
    await exited;
    frozen.remove();
  });

  for (const victim of ['stage', 'holder'] as const) {
    it(`fail an open when the ${victim} is killed, and leave nothing`, async () => {
      const provider = testProvider();
      const holder = await provider.holder();
      const pids = [stageOf(holder), holder.pid];
      const [stage = 0, held = 0] = pids;
      const states = pids.flatMap((pid) => processState(pid) ?? []);
      signalProcess(victim === 'stage' ? stage : held, 'SIGKILL');
      await assert.rejects(provider.open(), TestbedError);
      // The next open makes new ones.
      await (await provider.open()).close();
      await provider.dispose();
      assert.deepEqual(states.filter(isAlive), []);
    });

    it(`end although the ${victim} was stopped`, async () => {
      const provider = testProvider();
      const testbed = await provider.open();
      const holder = await provider.holder();
      signalProcess(victim === 'stage' ? stageOf(holder) : holder.pid, 'SIGSTOP');
      await testbed.close();
      const states = [stageOf(holder), holder.pid].flatMap((pid) => processState(pid) ?? []);
      assert.ok(await within(provider.dispose(), patience(10_000)));
      assert.deepEqual(states.filter(isAlive), []);
    });
  }

  it('start although they are stopped before they are ready', async () => {
    // So many that it is still binding them when it is stopped.
    const sources = Array.from({ length: 500 }, () => '/usr');
    const starting = Holder.start({ idMap: idMapsFor(testOptions()), sources, log: silentLog });
    const stages = childrenOf(process.pid).filter((pid) => /\0?hold /.test(commandLine(pid)));
    assert.equal(stages.length, 1);
    for (const pid of stages) signalProcess(pid, 'SIGSTOP');
    await (await starting).stop();
  });

  it('end although the mark of use of the base cannot be removed', async () => {
    const provider = testProvider();
    const holder = await provider.holder();
    const states = [stageOf(holder), holder.pid].flatMap((pid) => processState(pid) ?? []);
    const { bases } = openCache(process.env);
    const marks = readdirSync(bases)
      .map((key) => join(bases, key, 'users'))
      .filter((users) => existsSync(users))
      .flatMap((users) => readdirSync(users).map((name) => join(users, name)))
      .filter((path) => basename(path).startsWith(`${process.pid}.`));
    assert.ok(marks.length > 0);
    for (const mark of marks) {
      rmSync(mark);
      mkdirSync(mark);
    }
    try {
      await assert.rejects(provider.dispose(), { code: 'ERR_FS_EISDIR' });
      assert.deepEqual(states.filter(isAlive), []);
    } finally {
      for (const mark of marks) rmSync(mark, { recursive: true });
    }
  });

  for (const victim of ['the holder', 'the process of the run'] as const) {
    it(`end a run although ${victim} is stopped meanwhile`, async () => {
      const provider = testProvider();
      try {
        const holder = await provider.holder();
        const run = copyFrom('/usr/bin', holder);
        const pid = await run.started;
        signalProcess(victim === 'the holder' ? holder.pid : pid, 'SIGSTOP');
        assert.equal(await run.ended, 0);
      } finally {
        await provider.dispose();
      }
    });
  }

  it('fail a run whose process is killed before its steps are done', async () => {
    const provider = testProvider();
    try {
      const holder = await provider.holder();
      const run = copyFrom('/usr', holder);
      const pid = await run.started;
      for (const child of childrenOf(pid)) signalProcess(child, 'SIGKILL');
      signalProcess(pid, 'SIGKILL');
      await assert.rejects(
        run.ready,
        (error) => error instanceof TestbedError && error.code === 'SETUP_KILLED',
      );
      assert.equal(await run.ended, 137);
    } finally {
      await provider.dispose();
    }
  });

  it('make a command fail that was never run, where the kernel gives no namespace', async () => {
    const inside = 'echo 0 >/proc/sys/user/max_uts_namespaces; exec "$@"';
    const run = [process.execPath, PROGRAM, 'run', '--tarball', testTarball(), '--', 'sh', '-c', 'exit 42'];
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-holder-'));
    try {
      const env = { XDG_CACHE_HOME: folder };
      const { status, stderr } = await call(
        ['unshare', '--user', '--map-root-user', 'sh', '-c', inside, 'sh', ...run],
        { env },
      );
      assert.equal(status, 255);
      assert.match(
        stderr,
        /making the namespaces of a testbed failed: No space left on device; .*user\.max_\*_namespaces/,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('end both when the kernel refuses the id map of the holder', async () => {
    const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
    const maps = [`0 ${uid} 1`, `0 ${gid} 1`, 'no map', 'no map'];
    // The end of its output is that of the last of its processes.
    const { status, stdout } = await call([...helperWords('hold', 'self'), ...maps]);
    const [event] = parseEvents(stdout);
    assert.deepEqual([status, event?.what, event?.errno], [1, 'writing the id maps of', 'EINVAL']);
  });

  it('make a testbed where few files may be open', async () => {
    const run = [process.execPath, PROGRAM, 'run', '--tarball', testTarball(), '--', 'sh', '-c', 'exit 42'];
    const { status, stderr } = await call(['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh', ...run]);
    assert.deepEqual([status, stderr], [42, '']);
  });

  it('make a testbed with hundreds of binds', async () => {
    const binds = Array.from({ length: 460 }, (_, i) => ['--bind', '/etc/passwd', `/mnt/file${i}`]).flat();
    const run = ['run', '--tarball', testTarball(), ...binds, '--', 'sh', '-c', 'ls /mnt | wc -l'];
    const { stdout, stderr } = await virt(run);
    assert.deepEqual([stdout, stderr], ['460\n', '']);
  });

  it('keep no descriptor of a run that got no namespaces', async () => {
    const provider = testProvider();
    try {
      const holder = await provider.holder();
      await provider.normalUser();
      // The limit is one of the holder's user namespace.
      const forbid = ['sh', '-c', 'echo 0 >/proc/sys/user/max_uts_namespaces'] as const;
      const list = ['ls', `/proc/${holder.pid}/fd`] as const;
      const inHolder = (argv: Argv) => {
        const [helper, ...words] = holder.enter(argv, { bare: true });
        return call([helper, ...words]);
      };
      assert.equal((await inHolder(forbid)).status, 0);
      const before = await inHolder(list);
      await assert.rejects(holder.run('t', []).ready, /No space left on device/);
      assert.deepEqual(await inHolder(list), before);
      assert.match(before.stdout, /^0\n1\n2\n3\n/);
    } finally {
      await provider.dispose();
    }
  });

  /** A holder, and steps that wait until their process is killed. */
  async function withWaiting(
    body: (holder: Holder, wait: readonly steps.Step[]) => Promise<void>,
  ): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-holder-'));
    const holder = await Holder.start({ idMap: idMapsFor(testOptions()), sources: [folder], log: silentLog });
    try {
      chmodSync(folder, 0o755);
      execFileSync('mkfifo', ['-m', '666', join(folder, 'fifo')]);
      // For a reader.
      await body(holder, [steps.root('/'), steps.append('/mnt/0/fifo', '')]);
    } finally {
      await holder.stop();
      rmSync(folder, { recursive: true });
    }
  }

  it('make hundreds of processes at the same time', async () => {
    await withWaiting(async (holder, wait) => {
      const runs = Array.from({ length: 300 }, () => holder.run('', wait));
      const pids = await Promise.all(runs.map(({ started }) => started));
      assert.equal(new Set(pids).size, runs.length);
      for (const run of runs) holder.end(run);
      await Promise.all(runs.map(({ ended }) => ended));
    });
  });

  for (const way of ['run', 'runBelow'] as const) {
    it(`give a process only its own ends of pipes, so that it sees the end of the others (${way})`, async () => {
      await withWaiting(async (holder, wait) => {
        const owner = holder.nextOwner();
        const run =
          way === 'run'
            ? holder.run('m', wait)
            : holder.runBelow({ namespaces: 'm', owner, before: [], steps: wait });
        const pid = await run.started;
        // An ordinary user may not list them.
        const [helper, ...words] = holder.enter(['ls', '-l', `/proc/${pid}/fd`], { bare: true });
        const limit = performance.now() + patience(5_000);
        let pipes: readonly string[];
        do {
          const { stdout } = await call([helper, ...words]);
          pipes = stdout.match(/pipe:\[\d+\]/g) ?? [];
        } while (pipes.length !== 2 && performance.now() < limit);
        // Its lifeline, and one that shows when its steps are done.
        assert.equal(pipes.length, 2, pipes.join());
        holder.end(run);
        await run.ended;
      });
    });
  }

  it('get no descriptor of the caller, so neither does a testbed', async () => {
    const folder = openSync('/', 'r');
    const list = 'ls -l /proc/self/fd /proc/1/fd /proc/*/fd 2>/dev/null';
    const stdio = ['ignore', 'pipe', 'pipe', ...Array.from({ length: 20 }, () => folder)] as const;
    const child = spawn(
      process.execPath,
      [PROGRAM, 'run', '--tarball', testTarball(), '--', 'sh', '-c', list],
      {
        stdio: [...stdio],
      },
    );
    closeSync(folder);
    const { stdout, stderr } = await ended(child);
    assert.equal(stderr, '');
    assert.match(stdout, /0 -> /);
    assert.doesNotMatch(stdout, / -> \/$/m);
  });

  it('copy a root filesystem whose files are links to the host without following them', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-holder-'));
    const canary = join(folder, 'canary');
    const tarball = join(folder, 'root.tar');
    const env = { XDG_CACHE_HOME: folder };
    try {
      writeFileSync(canary, 'untouched', { mode: 0o600 });
      await copyArchive(
        testTarball(),
        tarball,
        ({ name }) => !/^\.\/etc\/(resolv\.conf|hosts|hostname)$/.test(name),
        [
          { name: './etc/resolv.conf', type: 'symlink', linkname: canary },
          { name: './etc/hosts', type: 'symlink', linkname: canary },
          { name: './etc/hostname', type: 'symlink', linkname: '/nowhere/at/all' },
        ],
      );
      const show = 'cat /etc/hosts; stat -c %F /etc/resolv.conf';
      const { stdout, stderr } = await virt(
        ['run', '--tarball', tarball, '--mode', 'copy', '--', 'sh', '-c', show],
        { env },
      );
      assert.match(stdout, /^127\.0\.0\.1 localhost\n.*\nregular (empty )?file\n$/s, stderr);
      assert.equal(readFileSync(canary, 'utf8'), 'untouched');
    } finally {
      await virt(['rootfs', 'prune', '--all'], { env });
      rmSync(folder, { recursive: true });
    }
  });
});
