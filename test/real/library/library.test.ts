import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import {
  CommandFailedError,
  CommandTimeoutError,
  CopyError,
  closeAll,
  OutputLimitError,
  type RunOptions,
  Testbed,
  TestbedError,
  UsageError,
  VirtError,
  withTestbed,
} from '../../../src/index.ts';
import { registered } from '../../../src/processes/open-testbeds.ts';
import { processState } from '../../../src/processes/stat.ts';
import { patience } from '../../support/patience.ts';
import { projectDir, testTarball } from '../../support/rootfs.ts';
import { itWithUsers } from '../../support/skip.ts';

const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });

describe('the library', function () {
  this.timeout(120_000);
  let testbed: Testbed;
  before(async () => {
    testbed = await Testbed.open({ rootfs: testTarball() });
  });
  after(() => closeAll());

  describe('run', () => {
    it('gives status and both outputs as text', async () => {
      const result = await testbed.run(['sh', '-c', 'echo out; echo err >&2; exit 3']);
      assert.deepEqual(result, { status: 3, stdout: 'out\n', stderr: 'err\n' });
    });

    itWithUsers('takes a text for the shell, an environment, a directory and a user', async () => {
      const { stdout } = await testbed.run('echo $A; pwd; id -un', {
        env: { A: "it's" },
        cwd: '/usr',
        user: 'nobody',
      });
      assert.equal(stdout, "it's\n/usr\nnobody\n");
    });

    it('reports what the testbed lacks for a command', async () => {
      for (const [options, code, name] of [
        [{ cwd: '/nowhere' }, 'NO_DIRECTORY', /\/nowhere/],
        [{ user: 'stranger' }, 'NO_USER', /stranger/],
      ] as const) {
        const start = async () => (await testbed.start(['true'], options)).ended;
        for (const ends of [() => testbed.run(['true'], options), start]) {
          await assert.rejects(ends, (error) => {
            assert.ok(error instanceof UsageError);
            assert.equal(error.code, code);
            assert.match(error.message, name);
            return true;
          });
        }
      }
    });

    it('reports a wrong call that types would have caught', async () => {
      for (const [command, options, words] of [
        [[], {}, /the command is neither a text nor a list/],
        [5, {}, /the command is neither a text nor a list/],
        [['true', 5], {}, /the command is neither a text nor a list/],
        ['true', { chek: true }, /run has no option chek \(did you mean check\); it has cwd, env, /],
        ['cat', { stdin: 5 }, /stdin is 5; give/],
        ['cat', { stdin: 'hello' }, /stdin is hello; .* a text as input/],
        ['cat', { stdin: {} }, /stdin is an object/],
        ['cat', { input: 5 }, /input is 5; give a text/],
        ['cat', { input: null }, /input is null/],
        ['true', { stdout: 'foo' }, /stdout is foo; give text, bytes/],
        ['true', { stderr: 2 }, /stderr is 2/],
        ['true', { maxOutput: '5' }, /maxOutput is 5/],
        ['true', { check: 1 }, /check is 1/],
        ['true', { signal: {} }, /signal is an object; give an AbortSignal/],
        ['true', { user: 0 }, /user is 0; give a text: the name or the number/],
        ['true', { cwd: 5 }, /cwd is 5/],
        ['true', { env: { A: 5 } }, /env.A is 5/],
        ['true', { env: { 'A B': 'c' } }, /env has A B/],
        ['true', { timeout: -1 }, /timeout is -1; give seconds/],
        ['true', { timeout: Number.NaN }, /timeout is NaN; give seconds/],
        ['true', { timeout: 1e10 }, /timeout is 10000000000; .* at most 2147483$/],
        ['true', null, /what run has as options is null; give an object/],
        ['true', { env: null }, /env is null; give an object/],
        ['true', { env: { A: 'a\0' } }, /env.A has a null byte/],
        ['true', { cwd: '/\0' }, /cwd has a null byte/],
        ['true \0', {}, /a word of the command has a null byte/],
        [['true', '\0'], {}, /a word of the command has a null byte/],
        [['true', 'x'.repeat(200_000)], {}, /variables of true are longer than the kernel allows; give what/],
        ['true', { env: { A: 'x'.repeat(200_000) } }, /variables of sh are longer than the kernel allows/],
      ] as const) {
        await assert.rejects(Reflect.apply(testbed.run, testbed, [command, options]), (error) => {
          assert.ok(error instanceof UsageError);
          assert.match(error.message, words);
          return true;
        });
      }
    });

    it('gives bytes as they are', async () => {
      const input = Buffer.from([0, 255, 10, 128]);
      const { stdout } = await testbed.run(['cat'], { input, stdout: 'bytes' });
      assert.deepEqual(stdout, input);
    });

    it('feeds and reads more than fits a pipe', async () => {
      const input = '0123456789abcde\n'.repeat(100_000);
      const { stdout } = await testbed.run(['cat'], { input });
      assert.equal(stdout, input);
    });

    it('reads from and writes to streams', async () => {
      const into = new PassThrough();
      const written = text(into);
      const result = await testbed.run(['tr', 'a-z', 'A-Z'], {
        stdin: Readable.from(['one ', 'two']),
        stdout: into,
      });
      into.end();
      assert.deepEqual([result.status, result.stdout, await written], [0, undefined, 'ONE TWO']);
    });

    for (const [name, broken] of [
      ['stdout', () => ({ stdout: new Writable({ write: (_chunk, _encoding, done) => done(full) }) })],
      ['stderr', () => ({ stderr: new Writable({ write: (_chunk, _encoding, done) => done(full) }) })],
      [
        'stdin',
        () => ({
          stdin: new Readable({
            read() {
              this.destroy(full);
            },
          }),
        }),
      ],
    ] as const) {
      it(`rejects when the stream given as ${name} fails, and ends the command`, async () => {
        const command = 'echo out; echo err >&2; exec sleep 1000';
        await assert.rejects(testbed.run(command, broken()), (error) => error === full);
        const processes = (await testbed.leaks()).filter(({ kind }) => kind === 'process');
        assert.deepEqual(processes, []);
      });
    }

    it('gives a command that took too long with the output until then', async () => {
      await assert.rejects(testbed.run('echo out; echo err >&2; sleep 1000', { timeout: 1 }), (error) => {
        assert.ok(error instanceof CommandTimeoutError);
        assert.deepEqual([error.stdout, error.stderr], ['out\n', 'err\n']);
        return true;
      });
    });

    it('does not mind a command that reads nothing of what it is given', async () => {
      const { status } = await testbed.run(['true'], { input: 'x'.repeat(1_000_000) });
      assert.equal(status, 0);
    });

    itWithUsers('lets any user open /dev/stdout and /dev/stderr', async () => {
      const { stdout, stderr } = await testbed.run('echo out >/dev/stdout; echo err >/dev/stderr', {
        user: 'nobody',
      });
      assert.deepEqual([stdout, stderr], ['out\n', 'err\n']);
    });

    it('rejects a status only when asked to, with the words of the command', async () => {
      assert.equal((await testbed.run('exit 9')).status, 9);
      await assert.rejects(testbed.run('echo; echo why >&2; exit 9', { check: true }), (error) => {
        assert.ok(error instanceof CommandFailedError && error instanceof VirtError);
        assert.match(error.message, /ended with status 9: why$/);
        assert.deepEqual([error.status, error.stdout, error.stderr], [9, '\n', 'why\n']);
        return true;
      });
    });

    it('ends what takes too long, is aborted or writes too much, and goes on', async () => {
      const running = async () => (await testbed.leaks()).filter(({ kind }) => kind === 'process');
      await assert.rejects(testbed.run('sleep 1000', { timeout: 0.1 }), CommandTimeoutError);
      await assert.rejects(
        testbed.run('sleep 1000', { signal: AbortSignal.timeout(100) }),
        CommandTimeoutError,
      );
      await assert.rejects(testbed.run(['yes'], { maxOutput: 1000 }), (error) => {
        assert.ok(error instanceof OutputLimitError);
        assert.match(error.remedy ?? '', /^raise maxOutput/);
        return true;
      });
      assert.deepEqual(await running(), []);
      assert.equal((await testbed.run(['true'])).status, 0);
    });

    it('ends what takes too long or is aborted though a stream takes nothing of its output', async () => {
      const ending = new AbortController();
      const stuck = new Writable({ highWaterMark: 1, write: () => ending.abort() });
      const run = (limits: RunOptions) =>
        testbed.run('echo words >&2; exec yes', { stdout: stuck, ...limits });
      await assert.rejects(run({ signal: ending.signal }), (error) => {
        assert.ok(error instanceof CommandTimeoutError);
        assert.equal(error.stderr, 'words\n');
        return true;
      });
      await assert.rejects(run({ timeout: 0.1 }), CommandTimeoutError);
      assert.ok(!stuck.destroyed);
    });

    it('ends at its time though a process of another command has opened its output', async () => {
      const keeper = 'until [ -e /pid ]; do :; done; exec 3>/proc/$(cat /pid)/fd/1; : >/held; sleep 1000';
      await testbed.run(`(${keeper}) </dev/null >/dev/null 2>&1 &`);
      const held = 'echo $$ >/pid.new; mv /pid.new /pid; until [ -e /held ]; do :; done; echo out';
      await assert.rejects(testbed.run(held, { timeout: patience(1000) / 1000 }), (error) => {
        assert.ok(error instanceof CommandTimeoutError);
        assert.match(error.message, / has ended, but not its output; /);
        assert.match(error.remedy ?? '', /^look for a process/);
        assert.equal(error.stdout, 'out\n');
        return true;
      });
    });

    it('gives a command the outputs of this process, which stay blocking', () => {
      const program = `
        const { readFileSync } = require('node:fs');
        const { PassThrough } = require('node:stream');
        const { withTestbed } = require(${JSON.stringify(`${projectDir}dist/index.cjs`)});
        const flags = (number) => /flags:\\s+(\\d+)/.exec(readFileSync('/proc/self/fdinfo/' + number, 'utf8'))[1];
        withTestbed({ rootfs: ${JSON.stringify(testTarball())} }, async (testbed) => {
          const stdin = new PassThrough();
          const command = testbed.run(['cat'], { stdin, stdout: 'inherit', stderr: 'inherit' });
          await testbed.run(['true']);
          void process.stdout;
          void process.stderr;
          stdin.end([1, 2].map((number) => parseInt(flags(number), 8) & 0o4000).join() + '\\n');
          await command;
        })();`;
      const { stdout, stderr } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8' });
      assert.deepEqual([stdout, stderr], ['0,0\n', '']);
    });

    it('refuses two inputs, and a signal that is aborted already', async () => {
      await assert.rejects(testbed.run(['cat'], { input: '', stdin: 'inherit' }), UsageError);
      await assert.rejects(testbed.run(['cat'], { signal: AbortSignal.abort() }), { name: 'AbortError' });
    });

    it('runs many at once', async () => {
      const numbers = Array.from({ length: 20 }, (_, number) => number);
      const results = await Promise.all(numbers.map((number) => testbed.run(`echo ${number}`)));
      assert.deepEqual(
        results.map(({ stdout }) => Number(stdout)),
        numbers,
      );
    });
  });

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
