import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { CopyError, closeAll, Testbed, TestbedError, UsageError, withTestbed } from '../../../src/index.ts';
import { registered } from '../../../src/processes/open-testbeds.ts';
import { processState } from '../../../src/processes/stat.ts';
import { projectDir, testTarball } from '../../support/rootfs.ts';

describe('the library', function () {
  this.timeout(120_000);
  let testbed: Testbed;
  before(async () => {
    testbed = await Testbed.open({ rootfs: testTarball() });
  });
  after(() => closeAll());

  it('starts a command to talk with', async () => {
    const bc = await testbed.start('while read a b; do echo $((a + b)); done; exit 4');
    bc.stdin.write('2 3\n');
    const [first] = await bc.stdout.take(1).toArray();
    assert.equal(String(first), '5\n');
    bc.stdin.end();
    assert.deepEqual(await bc.ended, { status: 4 });
  });

  it('kills a command that was started, with what it started', async () => {
    const command = await testbed.start('sleep 1000 & sleep 1000');
    command.kill();
    assert.equal((await command.ended).status, 137);
    assert.deepEqual(
      (await testbed.leaks()).filter(({ kind }) => kind === 'process'),
      [],
    );
  });

  it('copies files and folders both ways', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    try {
      mkdirSync(join(folder, 'in/below'), { recursive: true });
      writeFileSync(join(folder, 'in/below/file'), 'text');
      await testbed.copyIn(join(folder, 'in'), '/root/tree');
      await testbed.copyIn(join(folder, 'in/below/file'), '/root/single');
      assert.equal((await testbed.run('cat /root/tree/below/file /root/single')).stdout, 'texttext');
      await testbed.copyOut('/root/tree/', join(folder, 'out'));
      await testbed.copyOut('/root/single', join(folder, 'single'));
      assert.equal(readFileSync(join(folder, 'out/below/file'), 'utf8'), 'text');
      assert.equal(readFileSync(join(folder, 'single'), 'utf8'), 'text');
      await assert.rejects(testbed.copyIn(join(folder, 'absent'), '/root/x'), CopyError);
      // By name: what is loaded late is another instance under tsx.
      await assert.rejects(testbed.copyOut('/absent', join(folder, 'x')), { name: 'CopyError' });
      await assert.rejects(testbed.copyIn(folder, 'relative'), UsageError);
      for (const [source, target, remedy] of [
        ['in/below/file', '/root', /a directory has this name there; name the file, not its directory$/],
        ['in/below/file', '/no/x', /its directory does not exist there; make its directory first$/],
        ['in', '/no/x', /No such file or directory; make its directory first$/],
      ] as const) {
        const copying = testbed.copyIn(join(folder, source), target);
        await assert.rejects(copying, { name: 'CopyError', message: remedy });
      }
      for (const [target, remedy] of [
        [folder, /EISDIR.*; name the file, not its directory$/],
        [join(folder, 'no/x'), /ENOENT.*; make its directory first$/],
      ] as const) {
        await assert.rejects(testbed.copyOut('/root/single', target), { name: 'CopyError', message: remedy });
      }
      for (const copy of [testbed.copyIn, testbed.copyOut]) {
        await assert.rejects(Reflect.apply(copy, testbed, ['/etc/hostname']), { code: 'WRONG_VALUE' });
        await assert.rejects(Reflect.apply(copy, testbed, []), { code: 'WRONG_VALUE' });
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('has no event of what is a part of a copy, and its time ends that', async () => {
    const events: string[] = [];
    const onEvent = ({ event }: { readonly event: string }) => void events.push(event);
    await using good = await Testbed.open({ rootfs: testTarball(), onEvent });
    const file = join(mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-')), 'file');
    await good.copyOut('/etc/hostname', file);
    await good.write({ '/root/file': { content: 'x', user: '1' } });
    assert.deepEqual(events, ['open', 'copy', 'copy']);
    await using hostile = await Testbed.open({ rootfs: testTarball(), copyTimeout: 0.3 });
    const input = '#!/usr/bin/perl\nsleep 1000';
    await hostile.run('cat >/root/sh; chmod 755 /root/sh; mv /root/sh /usr/bin/sh', { input, check: true });
    await assert.rejects(hostile.copyOut('/etc/hostname', file), { name: 'CopyTimeoutError' });
    const writing = hostile.write({ '/x': { content: 'x', user: '1' } });
    await assert.rejects(writing, { name: 'CopyTimeoutError' });
    rmSync(dirname(file), { recursive: true });
  });

  it('reverts, and names what was left until then', async () => {
    const fresh = await Testbed.open({ rootfs: testTarball() });
    assert.deepEqual(await fresh.leaks(), []);
    await fresh.run('echo >/tmp/file; sleep 1000 >/dev/null 2>&1 </dev/null &', { check: true });
    const kinds = (await fresh.leaks()).map((leak) => leak.kind).sort();
    assert.deepEqual(kinds, ['file', 'process']);
    await fresh.revert();
    assert.deepEqual(await fresh.leaks(), []);
    await fresh.run('sleep 1000 &');
    const [held, ...others] = await fresh.leaks();
    assert.ok(held?.kind === 'process' && held.ended === true && held.pid > 1, JSON.stringify(held));
    assert.deepEqual([held.uid, held.command, others], [0, 'sleep 1000', []]);
    await fresh.revert();
    assert.deepEqual(await fresh.leaks(), []);
    await fresh.close();
  });

  it('leaves the descriptors of other threads alone when a worker ends', () => {
    const script = `
      const { Worker } = require('node:worker_threads');
      const work = async ({ Testbed }, { parentPort, workerData }) => {
        const testbed = await Testbed.open({ rootfs: workerData });
        // More pipes than are made at once, so numbers are used again.
        for (let i = 0; i < 20; i++) parentPort.postMessage((await testbed.run('cat', { input: 'x' })).stdout);
        await testbed.close();
      };
      const [library, rootfs] = process.argv.slice(1);
      const code = '(' + work + ')(require(' + JSON.stringify(library) + '), require("node:worker_threads"))';
      const start = () => {
        const worker = new Worker(code, { eval: true, workerData: rootfs });
        worker.on('message', (text) => process.stdout.write(text));
        return new Promise((resolve) => worker.once('exit', resolve));
      };
      Promise.all([start(), start()]).then(start);`;
    const library = join(projectDir, 'dist/index.cjs');
    const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', script, library, testTarball()], {
      encoding: 'utf8',
      // A thread that has lost a descriptor may wait for ever.
      ...{ timeout: 60_000, killSignal: 'SIGKILL' },
    });
    assert.deepEqual([status, stdout, stderr], [0, 'x'.repeat(60), '']);
  });

  it('closes with `await using`, and twice', async () => {
    let pid: number;
    {
      await using inner = await Testbed.open({ rootfs: testTarball() });
      pid = inner.pid;
      assert.ok(processState(pid));
      await inner.close();
    }
    assert.equal(processState(pid), undefined);
  });

  for (const change of ['revert', 'snapshot'] as const) {
    it(`closes what a ${change} makes that is under way`, async () => {
      const changing = await Testbed.open({ rootfs: testTarball() });
      const changed = Promise.allSettled([changing[change]()]);
      // It has begun then.
      await new Promise(setImmediate);
      await changing.close();
      await changed;
      assert.throws(() => changing.pid, { code: 'CLOSED' });
    });
  }

  it('reverts and closes once more only after the first time', async () => {
    const twice = await Testbed.open({ rootfs: testTarball() });
    await Promise.all([twice.revert(), twice.revert()]);
    const { pid } = twice;
    const first = twice.close();
    await twice.close();
    assert.equal(processState(pid), undefined);
    await first;
  });

  it('reports the failure of a test, and not that of the close after it', async () => {
    const failing = withTestbed({ rootfs: testTarball() }, async (opened) => {
      const close = opened.close.bind(opened);
      opened.close = async () => {
        await close();
        throw new Error('the close');
      };
      throw new Error('the test');
    });
    await assert.rejects(failing(), /the test/);
  });

  it('reports that a testbed is closed', async () => {
    const closed = await Testbed.open({ rootfs: testTarball() });
    await closed.close();
    await assert.rejects(closed.run(['true']), TestbedError);
    await assert.rejects(closed.revert(), TestbedError);
  });

  it('has a name for ps and exec that no other open testbed has', async () => {
    const options = { rootfs: testTarball(), hostname: 'twins' };
    const open = () => Testbed.open(options);
    const namesInPs = () =>
      registered(process.env)
        .filter(({ owner, name }) => owner === process.pid && name.startsWith('twins'))
        .map(({ name }) => name)
        .sort();
    const [one, two] = [await open(), await open()];
    assert.deepEqual(
      [one.name, two.name, one.hostname, two.hostname],
      ['twins', 'twins-2', 'twins', 'twins'],
    );
    await two.revert();
    assert.deepEqual([two.name, namesInPs()], ['twins-2', ['twins', 'twins-2']]);
    assert.equal((await two.run('hostname')).stdout, 'twins\n');
    await one.close();
    await one.close();
    const [three, four] = [await open(), await open()];
    assert.deepEqual(namesInPs(), ['twins', 'twins-2', 'twins-3']);
    await Promise.all([two, three, four].map((each) => each.close()));
  });

  it('shares what is the same, and nothing of what is not', async () => {
    const one = await Testbed.open({
      rootfs: testTarball(),
      hostname: 'one',
      bind: [{ outside: '/usr', inside: '/u' }],
    });
    const two = await Testbed.open({ rootfs: testTarball(), hostname: 'two' });
    assert.equal((await one.run('hostname; ls /u | grep -c bin')).stdout, 'one\n2\n');
    assert.equal((await two.run('hostname; test -e /u')).stdout, 'two\n');
    await Promise.all([one.close(), two.close()]);
  });
});
