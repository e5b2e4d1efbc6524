import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, readFileSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { CommandTimeoutError, MisuseError, UsageError } from '../../../src/errors.ts';
import { silentLog } from '../../../src/log.ts';
import { parseCommand, parseVariables, serveCommand } from '../../../src/protocol/serve-command.ts';
import { NotRunError } from '../../../src/testbed/execute.ts';
import { fakeTestbed } from './fake.ts';

const quiet = { log: silentLog };

describe('the variables of shell', () => {
  it('lose the one pair of quotes that autopkgtest puts around a value', () => {
    assert.deepEqual(parseVariables(['A="b c"', 'B=b', 'C=""', 'D="', 'E=a"b"', 'F=""x""']), {
      A: 'b c',
      B: 'b',
      C: '',
      D: '"',
      E: 'a"b"',
      F: '"x"',
    });
    assert.throws(() => parseVariables(['NAME']), MisuseError);
  });
});

describe('the words of command', () => {
  it('are an argument list and keywords', () => {
    const words =
      'sh,-c,a%2Cb%20%C3%BC,, stdin=/in stdout=/o%ff stderr=/e cwd=/d user=u env=A=b=c env=D= timeout=1.5';
    assert.deepEqual(parseCommand(words.split(' ')), {
      argv: ['sh', '-c', 'a,b ü', '', ''],
      files: {
        stdin: Buffer.from('/in'),
        stdout: Buffer.from('/o\xff', 'latin1'),
        stderr: Buffer.from('/e'),
      },
      options: { cwd: '/d', user: 'u', env: { A: 'b=c', D: '' }, timeout: 1.5 },
    });
  });

  it('keep a variable named like a property of Object', () => {
    const { env } = parseCommand(['true', 'env=__proto__=x']).options;
    assert.deepEqual(Object.entries(env ?? {}), [['__proto__', 'x']]);
  });

  for (const words of [
    [''],
    [',a'],
    ['%ff'],
    ['true', 'stdin'],
    ['true', 'stdin='],
    ['true', 'stdin=/a', 'stdin=/b'],
    ['true', 'timeout=1', 'timeout=1'],
    ['true', 'timeout=0'],
    ['true', 'timeout=-1'],
    ['true', 'timeout=1s'],
    ['true', 'timeout='],
    ['true', 'timeout=99999999999'],
    ['true', 'env==x'],
    ['true', 'env=x'],
    ['true', 'user='],
    ['true', 'user=%ff'],
    ['true', 'niceness=3'],
    ['true', '=x'],
    ['true', 'x'],
  ]) {
    it(`are not ${words.join(' ') || 'nothing'}`, () => {
      assert.throws(() => parseCommand(words), MisuseError);
    });
  }
});

describe('a command', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('gets the files of the host as its descriptors, closed when it has ended', async () => {
    const testbed = fakeTestbed();
    writeFileSync(join(folder, 'in'), 'hello');
    writeFileSync(join(folder, 'out'), 'what was there before');
    let descriptor = -1;
    testbed.run.callsFake(async (_argv, options) => {
      const buffer = Buffer.alloc(9);
      const length = readSync(options?.stdin ?? -1, buffer);
      descriptor = options?.stdout ?? -1;
      writeSync(descriptor, buffer.subarray(0, length));
      writeSync(options?.stderr ?? -1, 'problem');
      return { status: 7 };
    });
    const words = ['cat', `stdin=${folder}/in`, `stdout=${folder}/out`, `stderr=${folder}/err`];
    assert.equal(await serveCommand(testbed, words, quiet), 7);
    assert.equal(readFileSync(join(folder, 'out'), 'utf8'), 'hello');
    assert.equal(readFileSync(join(folder, 'err'), 'utf8'), 'problem');
    assert.throws(() => closeSync(descriptor), { code: 'EBADF' });
  });

  it('has the time that is left, as a number that an error can name', async () => {
    const testbed = fakeTestbed();
    await serveCommand(testbed, ['true', 'timeout=0.5'], quiet);
    assert.match(String(testbed.run.firstCall.args[1]?.timeout), /^0\.\d{1,3}$/);
  });

  it('may have a time that is no number of whole milliseconds', async () => {
    assert.equal(await serveCommand(fakeTestbed(), ['true', 'timeout=0.5005'], quiet), 0);
  });

  it('is refused without harm to the testbed where that has no such directory or user', async () => {
    const testbed = fakeTestbed();
    testbed.run.rejects(
      new NotRunError(['true'], { event: 'failed', code: 'NO_USER', what: 'it has no user x' }),
    );
    await assert.rejects(serveCommand(testbed, ['true', 'user=x'], quiet), UsageError);
    testbed.run.rejects(
      new NotRunError(['true'], { event: 'failed', code: 'CLOSED', what: 'its pid 1 has ended' }),
    );
    await assert.rejects(serveCommand(testbed, ['true'], quiet), NotRunError);
  });

  it('writes stdout and stderr one after the other into one file', async () => {
    const testbed = fakeTestbed();
    testbed.run.callsFake(async (_argv, options) => {
      for (const text of ['a', 'b', 'c']) {
        writeSync(options?.stdout ?? -1, text);
        writeSync(options?.stderr ?? -1, text.toUpperCase());
      }
      return { status: 0 };
    });
    await serveCommand(testbed, ['x', `stdout=${folder}/both`, `stderr=${folder}/both`], quiet);
    assert.equal(readFileSync(join(folder, 'both'), 'utf8'), 'aAbBcC');
  });

  it('is not run, and no file is emptied, when its words are wrong', async () => {
    const testbed = fakeTestbed();
    writeFileSync(join(folder, 'out'), 'precious');
    await assert.rejects(
      serveCommand(testbed, ['x', `stdout=${folder}/out`, 'timeout=x'], quiet),
      MisuseError,
    );
    await assert.rejects(
      serveCommand(testbed, ['x', `stdin=${folder}/none`, `stdout=${folder}/out`], quiet),
      MisuseError,
    );
    assert.equal(readFileSync(join(folder, 'out'), 'utf8'), 'precious');
    assert.equal(testbed.run.called, false);
  });

  it('may not get a directory, from which it could reach the files of the host', async () => {
    for (const stream of ['stdin', 'stdout', 'stderr']) {
      const run = serveCommand(fakeTestbed(), ['x', `${stream}=${folder}`], quiet);
      await assert.rejects(run, (error) => error instanceof MisuseError && /directory/.test(error.message));
    }
  });

  describe('with a FIFO', () => {
    let fifo: string;
    beforeEach(() => {
      fifo = join(folder, 'fifo');
      execFileSync('mkfifo', [fifo]);
    });

    /** What the command reads from its stdin to the end. */
    function reading() {
      const testbed = fakeTestbed();
      const read: string[] = [];
      testbed.run.callsFake(async (_argv, options) => {
        read.push(execFileSync('cat', { stdio: [options?.stdin ?? 'ignore', 'pipe', 2], encoding: 'utf8' }));
        return { status: 0 };
      });
      return { testbed, read };
    }

    it('reads all of a writer that comes late, to its end', async () => {
      const { testbed, read } = reading();
      const running = serveCommand(testbed, ['cat', `stdin=${fifo}`], quiet);
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.equal(testbed.run.called, false, 'it waits for the writer');
      spawn('sh', ['-c', 'printf one >"$1"', 'sh', fifo]);
      assert.equal(await running, 0);
      assert.deepEqual(read, ['one']);
    });

    it('reads nothing of a writer that writes nothing', async () => {
      const { testbed, read } = reading();
      const running = serveCommand(testbed, ['cat', `stdin=${fifo}`], quiet);
      spawn('sh', ['-c', ': >"$1"', 'sh', fifo]);
      assert.equal(await running, 0);
      assert.deepEqual(read, ['']);
    });

    it('writes to a reader that comes late', async () => {
      const testbed = fakeTestbed();
      testbed.run.callsFake(async (_argv, options) => {
        writeSync(options?.stdout ?? -1, 'two');
        return { status: 0 };
      });
      const running = serveCommand(testbed, ['x', `stdout=${fifo}`], quiet);
      const reader = spawn('cat', [fifo]);
      const read = text(reader.stdout);
      assert.equal(await running, 0);
      assert.equal(await read, 'two');
    });

    for (const stream of ['stdin', 'stdout'] as const) {
      it(`as ${stream} that has no other end ends at timeout= and when it is interrupted`, async () => {
        const testbed = fakeTestbed();
        const words = ['x', `${stream}=${fifo}`];
        await assert.rejects(serveCommand(testbed, [...words, 'timeout=0.2'], quiet), CommandTimeoutError);
        const interrupt = new AbortController();
        const running = serveCommand(testbed, words, { ...quiet, signal: interrupt.signal });
        interrupt.abort();
        await assert.rejects(running, CommandTimeoutError);
        const late = serveCommand(testbed, words, { ...quiet, signal: interrupt.signal });
        await assert.rejects(late, CommandTimeoutError);
        assert.equal(testbed.run.called, false);
      });
    }
  });
});
