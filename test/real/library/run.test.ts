/** The library's run(): input and output of a command, and its end. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { PassThrough, Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import {
  CommandFailedError,
  CommandTimeoutError,
  closeAll,
  OutputLimitError,
  type RunOptions,
  Testbed,
  UsageError,
  VirtError,
} from '../../../src/index.ts';
import { patience } from '../../support/patience.ts';
import { projectDir, testTarball } from '../../support/rootfs.ts';
import { itWithUsers } from '../../support/skip.ts';

const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });

describe("the library's run", function () {
  this.timeout(120_000);
  let testbed: Testbed;
  before(async () => {
    testbed = await Testbed.open({ rootfs: testTarball() });
  });
  after(() => closeAll());

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
    const run = (limits: RunOptions) => testbed.run('echo words >&2; exec yes', { stdout: stuck, ...limits });
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
