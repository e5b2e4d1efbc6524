import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VirtError } from '../../../src/errors.ts';
import type { Holder } from '../../../src/namespaces/holder.ts';
import { isAlive, nameOf } from '../../../src/processes/identity.ts';
import { childrenOf, commandLine } from '../../../src/processes/list.ts';
import { registered } from '../../../src/processes/open-testbeds.ts';
import type { Provider } from '../../../src/testbed/provider.ts';
import type { OpenTestbed, TestbedOptions } from '../../../src/testbed/types.ts';
import { waitUntil } from '../../../src/wait.ts';
import { script, testProvider } from '../../support/testbed.ts';

const out = async (testbed: OpenTestbed, text: string) => {
  const { stdout, stderr, status } = await script(testbed, text);
  assert.equal(status, 0, stderr);
  return stdout.trim();
};

/** The mount points of layers in the holder of a provider. */
async function layersOf(provider: Provider): Promise<string[]> {
  const { pid } = await provider.holder();
  const folder = `/proc/${pid}/root/mnt/layers`;
  const mounts = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').match(/ \/mnt\/layers\/\d+ /g) ?? [];
  assert.equal(mounts.length, readdirSync(folder).length);
  return mounts;
}

describe('layers', function () {
  this.timeout(60_000);
  const providers: Provider[] = [];
  const provide = (changes: Partial<TestbedOptions> = {}) => {
    const provider = testProvider(changes);
    providers.push(provider);
    return provider;
  };
  afterEach(async () => {
    for (const provider of providers.splice(0)) await provider.dispose();
  });

  const folders: string[] = [];
  const scratchFolder = () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-layers-'));
    chmodSync(folder, 0o755);
    folders.push(folder);
    return folder;
  };
  after(() => {
    for (const folder of folders) rmSync(folder, { recursive: true });
  });

  const PLACES: Readonly<Record<string, () => Partial<TestbedOptions>>> = {
    'in memory': () => ({ scratch: { kind: 'tmpfs' } }),
    'on disk': () => ({ scratch: { kind: 'directory', path: scratchFolder() } }),
    'of plain copies': () => ({ mode: 'copy' }),
  };
  for (const [where, options] of Object.entries(PLACES)) {
    it(`${where}: a snapshot keeps files, and not processes; forks and reverts begin with it`, async () => {
      const provider = provide(options());
      const first = await provider.open();
      await out(
        first,
        'echo text >/srv/file; rm /etc/hostname; rm -r /usr/share/doc; mkdir /usr/share/doc; echo new >/usr/share/doc/new',
      );
      await out(first, 'setsid sleep 300 </dev/null >/dev/null 2>&1 &');
      const init = nameOf(first.pid);
      const ready = await first.snapshot();
      assert.equal(isAlive(init), false);
      const LOOK =
        'cat /srv/file; ls /etc/hostname 2>/dev/null || echo gone; ls /usr/share/doc; pgrep sleep || echo none';
      const kept = 'text\ngone\nnew\nnone';
      assert.equal(await out(first, LOOK), kept);

      const forks = await Promise.all([provider.open(ready), provider.open(ready)]);
      for (const [index, fork] of forks.entries()) {
        assert.equal(await out(fork, LOOK), kept);
        await out(fork, `echo ${index} >/srv/file; rm -r /usr/share/doc`);
      }
      await out(first, 'echo first >/srv/file');
      for (const [index, fork] of forks.entries()) assert.equal(await out(fork, 'cat /srv/file'), `${index}`);
      for (const each of [first, ...forks]) {
        await each.revert();
        assert.equal(await out(each, LOOK), kept);
      }
      for (const each of [first, ...forks]) await each.close();
      await ready.dispose();
      assert.deepEqual(await layersOf(provider), []);
    });
  }

  it('of snapshots of snapshots hide and show what the ones below have', async () => {
    const provider = provide();
    const testbed = await provider.open();
    await out(testbed, 'mkdir /srv/dir; echo 1 >/srv/dir/one; echo 1 >/srv/dir/two');
    const one = await testbed.snapshot();
    await out(testbed, 'rm /srv/dir/one; echo 2 >/srv/dir/two');
    const two = await testbed.snapshot();
    await out(testbed, 'echo 3 >/srv/dir/one');
    assert.equal(await out(testbed, 'cat /srv/dir/*'), '3\n2');
    await testbed.revert();
    assert.equal(await out(testbed, 'cat /srv/dir/*'), '2');
    const [ofOne, ofTwo] = await Promise.all([provider.open(one), provider.open(two)]);
    assert.equal(await out(ofOne, 'cat /srv/dir/*'), '1\n1');
    assert.equal(await out(ofTwo, 'cat /srv/dir/*'), '2');
  });

  it('of a snapshot that is disposed stay as long as a testbed is over them', async () => {
    const provider = provide();
    const testbed = await provider.open();
    await out(testbed, 'echo text >/srv/file');
    const ready = await testbed.snapshot();
    const fork = await provider.open(ready);
    await testbed.close();
    await ready.dispose();
    await ready.dispose();
    await assert.rejects(
      provider.open(ready),
      (error) => error instanceof VirtError && error.code === 'DISPOSED',
    );
    assert.equal((await layersOf(provider)).length, 2);
    await fork.revert();
    assert.equal(await out(fork, 'cat /srv/file'), 'text');
    await fork.close();
    assert.deepEqual(await layersOf(provider), []);
  });

  it('can be many: the limit of the kernel is an error, and the testbed is as before', async () => {
    const provider = provide();
    const testbed = await provider.open();
    let taken = 0;
    const take = async () => {
      for (;;) {
        await testbed.snapshot();
        taken += 1;
      }
    };
    await assert.rejects(take(), (error) => error instanceof VirtError && error.code === 'TOO_MANY_LAYERS');
    assert.ok(taken > 5);
    await testbed.revert();
    assert.equal(await out(testbed, 'echo text'), 'text');
  }).timeout(300_000);

  describe('that are made ahead of the next revert', () => {
    /** As root of the holder: its processes are closed to an ordinary caller. */
    function inHolder(holder: Holder, ...argv: [string, ...string[]]): string {
      const [program, ...words] = holder.enter(argv, { bare: true });
      return spawnSync(program, words, { encoding: 'utf8' }).stdout;
    }

    /** Host pid of the process that waits, once it has made its mounts. */
    async function standing(provider: Provider): Promise<number> {
      const holder = await provider.holder();
      const waiting = () =>
        childrenOf(holder.pid).find(
          (pid) =>
            commandLine(pid).includes('set-up') &&
            inHolder(holder, 'cat', `/proc/${pid}/syscall`).startsWith('0 '),
        );
      assert.ok(await waitUntil(() => waiting() !== undefined, 5_000), 'nothing is made ahead');
      return waiting() ?? 0;
    }

    async function reverted(changes: Partial<TestbedOptions> = {}) {
      const provider = provide({ scratch: { kind: 'tmpfs' }, ...changes });
      const testbed = await provider.open();
      await testbed.revert();
      await out(testbed, 'touch /srv/file');
      return { provider, testbed, ahead: await standing(provider) };
    }

    it('run nothing of the root filesystem, are in no list, and are used by the revert', async () => {
      const { provider, testbed, ahead } = await reverted({ network: 'none' });
      assert.match(inHolder(await provider.holder(), 'readlink', `/proc/${ahead}/exe`), /helper/);
      assert.ok(!registered(process.env).some(({ pid }) => pid === ahead));
      assert.deepEqual(await testbed.leaks(), []);
      await testbed.revert();
      assert.equal(testbed.pid, ahead);
      assert.equal(
        await out(testbed, 'ls /srv; hostname; cat /proc/1/comm'),
        `${(providers[0] ?? assert.fail()).hostname}\nsh`,
      );
    });

    it('are not used when they were killed', async () => {
      const { provider, testbed, ahead } = await reverted();
      inHolder(await provider.holder(), 'kill', '-KILL', String(ahead));
      await testbed.revert();
      assert.notEqual(testbed.pid, ahead);
      assert.equal(await out(testbed, 'ls /srv'), '');
    });

    it('end with close, a snapshot and the provider', async () => {
      const one = await reverted();
      const identity = nameOf(one.ahead);
      await one.testbed.close();
      assert.equal(isAlive(identity), false);
      assert.deepEqual(await layersOf(one.provider), []);

      const two = await reverted();
      const before = nameOf(two.ahead);
      const ready = await two.testbed.snapshot();
      assert.equal(isAlive(before), false);
      await two.testbed.revert();
      assert.equal(await out(two.testbed, 'ls /srv'), 'file');
      const over = nameOf(await standing(two.provider));
      await ready.dispose();
      await two.testbed.revert();
      assert.equal(two.testbed.pid, over.pid);
      assert.equal(await out(two.testbed, 'ls /srv'), 'file');

      const last = nameOf(await standing(two.provider));
      await two.provider.dispose();
      assert.equal(isAlive(last), false);
    });
  });

  const memoryOfFiles = () => Number(/^Shmem:\s+(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]);

  it('are gone when close resolves, in whatever order testbeds of a server are closed', async () => {
    const provider = provide({ scratch: { kind: 'tmpfs' } });
    for (const order of [
      [0, 1],
      [1, 0],
    ]) {
      const beds = [await provider.open(), await provider.open()];
      for (const bed of beds) {
        await out(bed, 'head -c 100000000 /dev/zero >/srv/file');
        // No testbed has the mounts of another.
        assert.doesNotMatch(readFileSync(`/proc/${bed.pid}/mountinfo`, 'utf8'), / \/mnt\/layers/);
      }
      for (const [index, which] of order.entries()) {
        const before = memoryOfFiles();
        await beds[which]?.close();
        assert.equal((await layersOf(provider)).length, 1 - index);
        assert.ok(await waitUntil(() => before - memoryOfFiles() > 80_000, 5_000), 'the memory is not free');
      }
    }
  });

  it('are gone when another mount namespace has a copy of the mounts of the holder', async () => {
    const provider = provide({ scratch: { kind: 'tmpfs' } });
    const testbed = await provider.open();
    await out(testbed, 'head -c 100000000 /dev/zero >/srv/file');
    const holder = await provider.holder();
    const [file = '', ...argv] = holder.enter(['unshare', '-m', 'sh', '-c', 'echo ready; exec sleep 300']);
    const copy = spawn(file, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await once(copy.stdout, 'data');
      const pid = copy.pid ?? 0;
      const copies = () => / \/mnt\/layers\/\d+ /.test(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
      assert.ok(copies());
      const before = memoryOfFiles();
      await testbed.close();
      assert.ok(!copies());
      assert.ok(await waitUntil(() => before - memoryOfFiles() > 80_000, 5_000), 'the memory is not free');
    } finally {
      copy.kill('SIGKILL');
    }
  });
});
