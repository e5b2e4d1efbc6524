import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  watch,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestbedError } from '../../../src/errors.ts';
import { isAlive } from '../../../src/processes/identity.ts';
import { membersOf, type NamespaceType, namespaceOf } from '../../../src/processes/list.ts';
import { processState } from '../../../src/processes/stat.ts';
import type { Provider } from '../../../src/testbed/provider.ts';
import type { OpenTestbed } from '../../../src/testbed/types.ts';
import { waitUntil } from '../../../src/wait.ts';
import { FUSE, TMPFS } from '../../support/inside.ts';
import { mountsThere } from '../../support/left.ts';
import { testTarball } from '../../support/rootfs.ts';
import { Server } from '../../support/server.ts';
import { script, testProvider } from '../../support/testbed.ts';

const NAMESPACES: readonly NamespaceType[] = ['mnt', 'pid', 'ipc', 'uts', 'cgroup'];

function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-teardown-'));
  chmodSync(folder, 0o755);
  return folder;
}

/** Every process that is in one of a testbed's own namespaces. */
function inhabitants(testbed: OpenTestbed) {
  const own = NAMESPACES.map((type) => [type, namespaceOf(testbed.pid, type) ?? ''] as const);
  const pids = new Set(own.flatMap(([type, name]) => membersOf(type, name)));
  return [...pids].flatMap((pid) => processState(pid) ?? []);
}

/** Reports when the kernel has unmounted the root filesystem of a testbed for good, see namespaces/traces.ts. */
function unmounting(testbed: OpenTestbed): { done: boolean; close(): void } {
  const watcher = watch(`/proc/${testbed.pid}/root/.`);
  const watched = { done: false, close: () => watcher.close() };
  watcher.on('change', (_, name) => {
    if (name === '.') watched.done = true;
  });
  return watched;
}

const DAEMONS = (count: number) =>
  `i=0; while [ $i -lt ${count} ]; do setsid sleep 1000 </dev/null >/dev/null 2>&1 & i=$((i + 1)); done`;

describe('the end of a testbed', function () {
  this.timeout(120_000);
  let provider: Provider;
  beforeEach(() => {
    provider = testProvider();
  });
  afterEach(() => provider.dispose());

  it('is complete when close resolves: 20 rounds of 50 daemons and 5 mounts', async () => {
    const folder = scratchFolder();
    const onDisk = testProvider({ scratch: { kind: 'directory', path: folder } });
    const mounts = mountsThere();
    try {
      for (let round = 0; round < 20; round += 1) {
        const testbed = await (round % 2 === 0 ? provider : onDisk).open();
        const { status, stderr } = await script(
          testbed,
          `set -e; ${TMPFS} ${DAEMONS(50)}; for i in 1 2 3 4 5; do mkdir /mnt/$i; tmpfs $i /mnt/$i; echo x >/mnt/$i/file; done`,
        );
        assert.equal(status, 0, stderr);
        const before = inhabitants(testbed);
        assert.ok(before.length > 50);
        assert.equal(
          readFileSync(`/proc/${testbed.pid}/mountinfo`, 'utf8').match(/ \/mnt\/[1-5] /g)?.length,
          5,
        );
        const root = unmounting(testbed);
        await testbed.close();
        const left = before.filter(({ pid, startTime }) => processState(pid)?.startTime === startTime);
        // A zombie that lost its parent is for the host's pid 1 to reap.
        assert.deepEqual(left.filter(isAlive), [], `round ${round}`);
        assert.deepEqual(readdirSync(folder), [], `round ${round}`);
        assert.deepEqual(mountsThere(), mounts);
        // Our own watch is served by the same loop, but perhaps in its next turn.
        await new Promise((resolve) => setImmediate(resolve));
        assert.ok(root.done, `round ${round}: the root filesystem is still mounted`);
        root.close();
      }
    } finally {
      await onDisk.dispose();
      rmSync(folder, { recursive: true });
    }
  });

  it('comes for a thousand processes that ignore signals, some of them stopped', async () => {
    const testbed = await provider.open();
    await script(testbed, `trap '' TERM HUP INT; ${DAEMONS(1000)}; kill -STOP $!`);
    const before = inhabitants(testbed);
    assert.ok(before.length > 1000);
    await testbed.close();
    assert.deepEqual(before.filter(isAlive), []);
  });

  /** A command of a driver, once it runs. */
  async function startCommand(testbed: OpenTestbed): Promise<ChildProcess> {
    const [program = '', ...argv] = testbed.executeCommand;
    const child = spawn(program, [...argv, 'sleep', '1000'], { stdio: 'ignore' });
    const sleeping = () => inhabitants(testbed).some(({ pid }) => /^sleep\0/.test(commandOf(pid)));
    assert.ok(await waitUntil(sleeping, 5000));
    return child;
  }

  it('comes when the execute program of a command was stopped, which then does not reap', async () => {
    const testbed = await provider.open();
    const child = await startCommand(testbed);
    const ended = once(child, 'exit');
    const before = inhabitants(testbed);
    process.kill(child.pid ?? 0, 'SIGSTOP');
    await testbed.close();
    assert.deepEqual(before.filter(isAlive), []);
    await ended;
  });

  it('ends processes that entered by other tools', async () => {
    const testbed = await provider.open();
    const enter = ['-t', `${testbed.pid}`, '-U', '--preserve-credentials', '-m'];
    const entered = spawn('nsenter', [...enter, '--', 'sleep', '1000'], { stdio: 'ignore' });
    const ended = once(entered, 'exit');
    const mount = namespaceOf(testbed.pid, 'mnt');
    assert.ok(await waitUntil(() => namespaceOf(entered.pid ?? 0, 'mnt') === mount, 5000));
    await testbed.close();
    assert.deepEqual(await ended, [null, 'SIGKILL']);
  });

  it('names a process that keeps a file of it open, and completes when the file is closed', async () => {
    const testbed = await provider.open();
    const folder = openSync(`/proc/${testbed.pid}/root/etc`, 'r');
    const holder = spawn('sleep', ['1000'], { stdio: ['ignore', 'ignore', 'ignore', folder] });
    await once(holder, 'spawn');
    closeSync(folder);
    try {
      await assert.rejects(
        testbed.close(),
        (error) => error instanceof TestbedError && error.message.includes(`${holder.pid} (sleep 1000)`),
      );
    } finally {
      holder.kill();
    }
    await provider.dispose();
    provider = testProvider();
  });

  for (const [waiter, what] of [
    ['other', 'a FUSE daemon that was stopped'],
    ['child', 'a FUSE daemon that is itself what waits'],
  ] as const) {
    it(`comes when a process waits for ${what}`, async () => {
      const fuse = testProvider({ binds: [{ outside: '/dev/fuse', inside: '/dev/fuse' }] });
      try {
        const testbed = await fuse.open();
        const { status, stderr } = await script(testbed, `${FUSE} fuse /mnt/hangs ${waiter}`, {
          timeout: 20,
        });
        assert.equal(status, 0, stderr);
        const before = inhabitants(testbed);
        assert.ok(before.length >= 4);
        const start = performance.now();
        await testbed.close();
        assert.ok(performance.now() - start < 10_000);
        assert.deepEqual(before.filter(isAlive), []);
      } finally {
        await fuse.dispose();
      }
    });
  }

  it('comes when a FUSE daemon waits for itself and the server is killed', async () => {
    const server = Server.start({ argv: ['--tarball', testTarball(), '--bind', '/dev/fuse', '/dev/fuse'] });
    await server.reply();
    await server.ask('open');
    const hang = encodeURIComponent(`${FUSE} fuse /mnt/hangs child`);
    assert.deepEqual(await server.ask(`command sh,-c,${hang}`), ['0']);
    await server.kill('SIGKILL');
    assert.deepEqual(await server.leftAfter(2000), []);
  });

  it('disturbs no other testbed, of this server or another', async () => {
    const other = testProvider();
    try {
      const [first, second, third] = await Promise.all([provider.open(), provider.open(), other.open()]);
      const children = await Promise.all([startCommand(second), startCommand(third)]);
      await first.close();
      await first.close();
      await Promise.all([second.run(['true']), third.run(['true'])]);
      for (const child of children) assert.equal(child.exitCode ?? child.signalCode, null);
      await Promise.all([second.close(), third.close()]);
    } finally {
      await other.dispose();
    }
  });

  it('comes for an open or a revert that is under way when the provider ends', async () => {
    const folder = scratchFolder();
    try {
      for (const wait of [0, 1, 5, 10]) {
        const one = testProvider({ scratch: { kind: 'directory', path: folder } });
        const testbed = await one.open();
        const before = inhabitants(testbed);
        const pending = Promise.allSettled([testbed.revert(), one.open()]);
        await new Promise((resolve) => setTimeout(resolve, wait));
        await one.dispose();
        await pending;
        assert.deepEqual(before.filter(isAlive), []);
        assert.deepEqual(readdirSync(folder), []);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('leaves no process in the user namespace of the holder', async () => {
    const testbed = await provider.open();
    const user = namespaceOf(testbed.pid, 'user') ?? '';
    await script(testbed, DAEMONS(10));
    const before = membersOf('user', user).flatMap((pid) => processState(pid) ?? []);
    assert.ok(before.length > 10);
    await provider.dispose();
    assert.deepEqual(before.filter(isAlive), []);
  });
});

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}
