import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import sinon from 'sinon';
import { CommandTimeoutError, CopyError, CopyTimeoutError, TestbedError } from '../../../src/errors.ts';
import { silentLog } from '../../../src/log.ts';
import { serve } from '../../../src/protocol/server.ts';
import type { OpenTestbed } from '../../../src/testbed/types.ts';
import { converseWith, deferred, fakeProvider, fakeTestbed, startSession } from './fake.ts';

describe('a session', () => {
  it('answers each request with one line', async () => {
    const testbed = fakeTestbed();
    const provider = fakeProvider(testbed);
    const { status, output, told } = await converseWith(
      'capabilities\nopen\nprint-execute-command\nrevert\nclose\nquit\n',
      provider,
    );
    assert.equal(
      output,
      'ok revert revert-full-system reboot root-on-testbed suggested-normal-user=user\n' +
        'ok /tmp/scratch%20dir\n' +
        'ok /x/execute.sh,a%2Cb,%25\n' +
        'ok /tmp/scratch%20dir\n' +
        'ok\n' +
        'ok\n',
    );
    assert.equal(status, 0);
    assert.deepEqual(told, []);
    sinon.assert.callOrder(provider.open, testbed.revert, testbed.close, provider.dispose);
  });

  it('promises isolation only with a network of its own, and a user only when there is one', async () => {
    const own = await converseWith('capabilities\nquit\n', fakeProvider(), true);
    assert.match(own.output, / isolation-container\n/);
    const idle = fakeProvider();
    idle.startsServices.resolves(false);
    const blocked = await converseWith('capabilities\nquit\n', idle, true);
    assert.doesNotMatch(blocked.output, /isolation/);
    const provider = fakeProvider();
    provider.normalUser.resolves(undefined);
    const nobody = await converseWith('capabilities\ncapabilities\nquit\n', provider);
    const answer = 'ok revert revert-full-system reboot root-on-testbed\n';
    assert.equal(nobody.output, `${answer}${answer}ok\n`);
    assert.equal(nobody.told.length, 1, 'said once');
    assert.match(nobody.told[0] ?? '', /no user but root.*; virt-ts-unshare doctor/);
  });

  it('closes the testbed before it answers quit', async () => {
    const provider = fakeProvider();
    const gone = deferred<void>();
    provider.dispose.returns(gone.promise);
    const session = startSession(provider);
    session.input.write('open\nquit\n');
    while (!provider.dispose.called) await new Promise(setImmediate);
    assert.equal(session.said(), 'ok /tmp/scratch%20dir\n');
    gone.resolve();
    assert.equal(await session.ended, 0);
    assert.equal(session.said(), 'ok /tmp/scratch%20dir\nok\n');
  });

  it('does one request at a time, in order', async () => {
    const testbed = fakeTestbed();
    const first = deferred<void>();
    testbed.copyIn.onFirstCall().returns(first.promise);
    const session = startSession(fakeProvider(testbed));
    session.input.write('open\ncopydown /a /b\ncopyup /c /d\n');
    while (!testbed.copyIn.called) await new Promise(setImmediate);
    assert.equal(testbed.copyOut.called, false);
    first.resolve();
    session.input.end('quit\n');
    assert.equal(await session.ended, 0);
    sinon.assert.callOrder(testbed.copyIn, testbed.copyOut);
  });

  it('reads requests that come in pieces', async () => {
    const session = startSession();
    for (const piece of ['o', 'pe', 'n', '\nclo', 'se\nqu', 'it\n']) {
      session.input.write(piece);
      await new Promise(setImmediate);
    }
    assert.equal(await session.ended, 0);
    assert.equal(session.said(), 'ok /tmp/scratch%20dir\nok\nok\n');
  });

  it('hands every byte of a path on', async () => {
    const testbed = fakeTestbed();
    const raw = Buffer.concat([
      Buffer.from('open\ncopydown /%ff/ /'),
      Buffer.from([0xfe]),
      Buffer.from('/\nquit\n'),
    ]);
    await converseWith(raw, fakeProvider(testbed));
    assert.deepEqual(testbed.copyIn.args, [
      [Buffer.from([0x2f, 0xff, 0x2f]), Buffer.from([0x2f, 0xfe, 0x2f])],
    ]);
  });

  it('ends with 0 after quit though its output is not read', async () => {
    const session = startSession();
    session.output.destroy(new Error('write EPIPE'));
    session.input.write('open\nquit\n');
    assert.equal(await session.ended, 0);
  });

  it('ends after quit though stdin stays open', async () => {
    const session = startSession();
    session.input.write('quit\n');
    assert.equal(await session.ended, 0);
    assert.equal(session.input.destroyed, true);
  });
});

describe('misuse', () => {
  for (const [what, text] of Object.entries({
    'unknown command': 'frobnicate\n',
    'a name of Object.prototype': 'constructor\n',
    reboot: 'open\nreboot\n',
    'too many words': 'open now\n',
    'too few words': 'open\ncopyup /a\n',
    'open when open': 'open\nopen\n',
    'close when closed': 'close\n',
    'revert when closed': 'revert\n',
    'copyup when closed': 'copyup /a /b\n',
    'command when closed': 'command true\n',
    'shell when closed': 'shell /\n',
    'print-execute-command when closed': 'open\nclose\nprint-execute-command\n',
    'slashes that disagree': 'open\ncopydown /a/ /b\n',
    'the other slashes that disagree': 'open\ncopyup /a /b/\n',
    'bad percent code': 'open\ncopyup /%zz /b\n',
    'bad percent code in the verb': '%6\n',
    'empty line': '\n',
    'blank line': ' \t\n',
    NUL: 'op\0en\n',
    'encoded NUL': 'open\ncopyup /%00 /b\n',
    'words of a shell that are no variables': 'open\nshell / FOO\n',
    'command without program': 'open\ncommand ,a\n',
    'command with an unknown keyword': 'open\ncommand true nice=1\n',
    'command with a program that is no text': 'open\ncommand %ff\n',
    'command with an endless time': 'open\ncommand true timeout=1e99\n',
    'command with a stdin that is not there': 'open\ncommand true stdin=/does/not/exist\n',
    'end of file': '',
    'end of file when open': 'open\n',
    'half a request': 'open\nclose',
  })) {
    it(`${what}: closes the testbed, reports one sentence, exits with 12`, async () => {
      const testbed = fakeTestbed();
      const provider = fakeProvider(testbed);
      const { status, told } = await converseWith(text, provider);
      assert.equal(status, 12);
      assert.equal(told.length, 1, told.join('\n'));
      assert.doesNotMatch(told.join(), /\n/);
      assert.equal(testbed.close.callCount, provider.open.callCount);
      assert.equal(provider.dispose.callCount > 0, true);
    });
  }

  for (const [request, message] of [
    ['rvert', /^unknown command 'rvert' \(did you mean revert\); the commands are /],
    ['run ls', /^unknown command 'run' \(did you mean command\); the commands are /],
    ['command ls /', /^command has no keyword '\/'; write commas between the words of the command; /],
  ] as const) {
    it(`${request}: says what was meant`, async () => {
      const { told } = await converseWith(`open\n${request}\n`, fakeProvider());
      assert.match(told.join('\n'), message);
    });
  }

  it('does not run a last line without its end', async () => {
    const testbed = fakeTestbed();
    await converseWith('open\nrevert', fakeProvider(testbed));
    assert.equal(testbed.revert.called, false);
  });

  it('does not run what comes after', async () => {
    const provider = fakeProvider();
    const { output } = await converseWith('bad\nopen\n', provider);
    assert.equal(provider.open.called, false);
    assert.equal(output, '');
  });

  it('an endless line ends the session, not the memory', async () => {
    const session = startSession();
    const chunk = 'x'.repeat(1024 * 1024);
    for (let sent = 0; sent < 10 && !session.input.destroyed; sent += 1) {
      if (!session.input.write(chunk)) await Promise.race([once(session.input, 'drain'), session.ended]);
    }
    assert.equal(await session.ended, 12);
    assert.match(session.told.join('\n'), /longer than/);
  });
});

describe('failures', () => {
  for (const [error, reply] of [
    [new CopyError('no such file'), 'copy-failed'],
    [new CopyTimeoutError('slow'), 'timeout'],
  ] as const) {
    it(`${error.name} is the reply ${reply}, and the session goes on`, async () => {
      const testbed = fakeTestbed();
      testbed.copyOut.rejects(error);
      const { status, output, told } = await converseWith(
        'open\ncopyup /a /b\nclose\nquit\n',
        fakeProvider(testbed),
      );
      assert.equal(output, `ok /tmp/scratch%20dir\n${reply}\nok\nok\n`);
      assert.equal(status, 0);
      assert.deepEqual(told, [`copyup: ${error.message}`]);
    });
  }

  it('a command that takes too long is the reply timeout', async () => {
    const testbed = fakeTestbed();
    testbed.run.rejects(new CommandTimeoutError('too long'));
    const { status, output } = await converseWith(
      'open\ncommand sleep,9 timeout=1\nquit\n',
      fakeProvider(testbed),
    );
    assert.equal(output, 'ok /tmp/scratch%20dir\ntimeout\nok\n');
    assert.equal(status, 0);
  });

  it('a dead testbed is reported on request', async () => {
    const testbed = fakeTestbed();
    Object.defineProperty(testbed, 'executeCommand', {
      get: () => {
        throw new TestbedError('the testbed is closed');
      },
    });
    const { status, output, told } = await converseWith(
      'open\nauxverb_debug_fail\nquit\n',
      fakeProvider(testbed),
    );
    assert.deepEqual([status, output], [0, 'ok /tmp/scratch%20dir\nok\nok\n']);
    assert.deepEqual(told, ['the testbed is closed']);
  });

  it('a dead testbed ends the session with 12', async () => {
    const testbed = fakeTestbed();
    testbed.revert.rejects(new TestbedError('pid 1 is gone; see the kernel log'));
    const { status, told } = await converseWith('open\nrevert\nquit\n', fakeProvider(testbed));
    assert.equal(status, 12);
    assert.deepEqual(told, ['pid 1 is gone; see the kernel log']);
    sinon.assert.calledOnce(testbed.close);
  });

  for (const requests of ['open\nquit\n', 'quit\n']) {
    it(`a reply that cannot be written ends ${JSON.stringify(requests)} with 12 and one sentence`, async () => {
      const provider = fakeProvider();
      const input = new PassThrough();
      const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
      const output = new Writable({ write: (_chunk, _encoding, done) => done(full) });
      const told: string[] = [];
      const log = { ...silentLog, warn: (message: string) => told.push(message) };
      const { signal } = new AbortController();
      const ended = serve({ input, output, provider, ownNetwork: false, log, signal });
      input.write(requests);
      assert.equal(await ended, 12);
      assert.deepEqual(told, [
        'cannot write a reply to stdout: ENOSPC: no space left on device; free space on that file system',
      ]);
      sinon.assert.called(provider.dispose);
    });
  }

  it('ends all that is left when a testbed does not end at the end of file', async () => {
    const testbed = fakeTestbed();
    testbed.close.rejects(new TestbedError('a testbed does not end'));
    const provider = fakeProvider(testbed);
    const { status, told } = await converseWith('open\n', provider);
    assert.equal(status, 12);
    assert.match(told.join('\n'), /^end of file .*\na testbed does not end$/);
    sinon.assert.callOrder(testbed.close, provider.dispose);
  });

  it('a testbed that cannot be removed is reported once, with 12', async () => {
    const provider = fakeProvider();
    provider.dispose.rejects(new TestbedError('cannot remove /x'));
    const { status, told, output } = await converseWith('open\nquit\n', provider);
    assert.equal(status, 12);
    assert.deepEqual(told, ['cannot remove /x']);
    assert.equal(output, 'ok /tmp/scratch%20dir\n');
  });

  it('an unexpected error ends the session with 16 and its stack', async () => {
    const testbed = fakeTestbed();
    testbed.copyIn.rejects(new RangeError('surprise'));
    const { status, told } = await converseWith('open\ncopydown /a /b\n', fakeProvider(testbed));
    assert.equal(status, 16);
    assert.match(told.join('\n'), /RangeError: surprise\n {4}at /);
    sinon.assert.calledOnce(testbed.close);
  });
});

describe('being stopped', () => {
  /** A testbed whose `run` lasts until its provider is disposed of. */
  function lastingRun() {
    const testbed = fakeTestbed();
    const provider = fakeProvider(testbed);
    const gone = deferred<{ status: number }>();
    testbed.run.returns(gone.promise);
    provider.dispose.callsFake(async () => gone.reject(new TestbedError('closed under the command')));
    return { testbed, provider };
  }

  it('by a signal in the middle of open: disposes, reports nothing', async () => {
    const provider = fakeProvider();
    const opening = deferred<OpenTestbed>();
    provider.open.returns(opening.promise);
    provider.dispose.callsFake(async () => opening.reject(new TestbedError('given up')));
    const session = startSession(provider);
    session.input.write('open\n');
    while (!provider.open.called) await new Promise(setImmediate);
    session.stop.abort();
    await session.ended;
    assert.equal(provider.dispose.called, true);
    assert.equal(session.said(), '');
    assert.deepEqual(session.told, []);
  });

  it('by a signal in the middle of a command: disposes, reports nothing', async () => {
    const { testbed, provider } = lastingRun();
    const session = startSession(provider);
    session.input.write('open\ncommand sleep,9\n');
    while (!testbed.run.called) await new Promise(setImmediate);
    session.stop.abort();
    await session.ended;
    assert.equal(provider.dispose.called, true);
    assert.deepEqual(session.told, []);
  });

  it('by a signal between requests: disposes', async () => {
    const provider = fakeProvider();
    const session = startSession(provider);
    session.input.write('open\n');
    while (session.said() === '') await new Promise(setImmediate);
    session.stop.abort();
    await session.ended;
    assert.equal(provider.dispose.called, true);
    assert.deepEqual(session.told, []);
  });

  it('by a signal while its output is not read: disposes', async () => {
    const provider = fakeProvider();
    const input = new PassThrough();
    const written = deferred<void>();
    const output = new Writable({ write: () => written.resolve() });
    const stop = new AbortController();
    const ended = serve({
      ...{ input, output, provider, ownNetwork: false, log: silentLog },
      signal: stop.signal,
    });
    input.write('open\n');
    await written.promise;
    stop.abort();
    assert.equal(await ended, 12);
    assert.equal(provider.dispose.called, true);
  });

  it('by end of file in the middle of the last request: does not wait for it', async () => {
    const clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const { testbed, provider } = lastingRun();
      const session = startSession(provider);
      session.input.end('open\ncommand sleep,9\n');
      while (!testbed.run.called) await new Promise(setImmediate);
      await clock.tickAsync(10_000);
      assert.equal(await session.ended, 12);
      assert.match(session.told.join('\n'), /^end of file/);
    } finally {
      clock.restore();
    }
  });

  it('not by end of file behind quit, however long the close takes', async () => {
    const clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const testbed = fakeTestbed();
      const closing = deferred<void>();
      testbed.close.returns(closing.promise);
      const session = startSession(fakeProvider(testbed));
      session.input.end('open\nquit\n');
      while (!testbed.close.called) await new Promise(setImmediate);
      await clock.tickAsync(1_000_000);
      closing.resolve();
      assert.equal(await session.ended, 0);
      assert.equal(session.said(), 'ok /tmp/scratch%20dir\nok\n');
    } finally {
      clock.restore();
    }
  });

  it('not by end of file while more requests are there to be done', async () => {
    const clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const testbed = fakeTestbed();
      const running = deferred<{ status: number }>();
      testbed.run.returns(running.promise);
      const session = startSession(fakeProvider(testbed));
      session.input.end('open\ncommand sleep,9\nquit\n');
      while (!testbed.run.called) await new Promise(setImmediate);
      await clock.tickAsync(1_000_000);
      running.resolve({ status: 3 });
      assert.equal(await session.ended, 0);
      assert.equal(session.said(), 'ok /tmp/scratch%20dir\nok 3\nok\n');
    } finally {
      clock.restore();
    }
  });
});
