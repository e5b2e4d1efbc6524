import assert from 'node:assert/strict';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { closeAll, NotReadyError, Testbed, TestbedError, UsageError } from '../../../src/index.ts';
import { patience } from '../../support/patience.ts';
import { testTarball } from '../../support/rootfs.ts';

/** A server in Perl, which each Debian has: gives an answer to each connection. */
const SERVER = `
use IO::Socket::INET;
my ($port, $answer) = @ARGV;
my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 5, ReuseAddr => 1) or die "no socket: $!";
while (my $c = $s->accept) { my $line = <$c>; print $c $answer =~ s/LINE/$line/r; close $c; }
`;

const serve = (testbed: Testbed, port: number, answer: string, after = '') =>
  testbed.start(`${after} exec perl -e '${SERVER.replaceAll("'", `'\\''`)}' ${port} '${answer}'`);

describe('waiting until something is ready', function () {
  this.timeout(120_000);
  let testbed: Testbed;
  before(async () => {
    testbed = await Testbed.open({ rootfs: testTarball(), network: 'none' });
  });
  beforeEach(() => testbed.revert());
  after(() => closeAll());

  it('for a port of a testbed without a network', async () => {
    await serve(testbed, 8080, 'hello', 'sleep 0.3;');
    assert.equal(await testbed.waitFor({ port: 8080 }), undefined);
    await testbed.waitFor({ port: 8080, address: '127.0.0.1' });
  });

  it('for a port of the host, where the testbed has its network', async () => {
    const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const own = await Testbed.open({ rootfs: testTarball(), network: 'host' });
    try {
      await own.waitFor({ port });
      await assert.rejects(testbed.waitFor({ port }, { timeout: 0.2 }), NotReadyError);
    } finally {
      await own.close();
      server.close();
    }
  });

  it('reports after its time what was seen last', async () => {
    await assert.rejects(
      testbed.waitFor({ port: 81 }, { timeout: Math.ceil(patience(300)) / 1000 }),
      (error) => {
        assert.ok(error instanceof NotReadyError);
        assert.equal(error.code, 'NOT_READY');
        assert.match(
          error.message,
          /port 81 of the testbed was not ready after [0-9.]+ s: .*Connection refused/,
        );
        assert.match(error.seen, /127\.0\.0\.1:81.*\[::1\]:81/);
        assert.ok(error.remedy);
        return true;
      },
    );
  });

  it('for a line of either output, also one that came before, and a number of lines', async () => {
    const running = await testbed.start(
      'echo starting; echo ready 1 >&2; sleep 0.2; echo ready 2; exec sleep 1000',
    );
    assert.equal(await testbed.waitFor({ log: 'ready', of: running }), 'ready 1');
    assert.equal(await testbed.waitFor({ log: /ready \d/g, of: running, times: 2 }), 'ready 2');
    assert.equal(await testbed.waitFor({ log: /^start/, of: running }), 'starting');
  });

  it('does not make the command wait for a reader afterwards, and its lines can be read', async () => {
    const running = await testbed.start(
      'echo ready; head -c 300000 /dev/zero | tr "\\\\0" "a\\\\n"; echo; echo last',
    );
    await testbed.waitFor({ log: 'ready', of: running });
    assert.deepEqual(await running.ended, { status: 0 });
    const lines: string[] = [];
    for await (const line of running.lines) lines.push(line);
    assert.equal(lines[0], 'ready');
    assert.equal(lines.at(-1), 'last');
  });

  it('ends at once when the command of the log ends, with its last lines', async () => {
    const running = await testbed.start('echo one; echo cannot bind >&2; exit 3');
    await assert.rejects(testbed.waitFor({ log: 'ready', of: running }, { timeout: 100 }), (error) => {
      assert.ok(error instanceof NotReadyError);
      assert.equal(error.code, 'COMMAND_ENDED');
      assert.match(error.message, /ready in the output of .* its last lines are: one \| cannot bind/);
      assert.equal(error.seen, 'one\ncannot bind');
      return true;
    });
  });

  it('for an answer by HTTP with a status and a body', async () => {
    await serve(testbed, 80, 'HTTP/1.0 404 No\r\n\r\nasked LINE', 'sleep 0.2;');
    const { status, body } = await testbed.waitFor({
      http: 80,
      path: '/health',
      status: [200, 404],
      body: /GET/,
    });
    assert.equal(status, 404);
    assert.match(body, /asked GET \/health HTTP/);
    await assert.rejects(
      testbed.waitFor({ http: 80 }, { timeout: Math.ceil(patience(500)) / 1000 }),
      (error) => {
        assert.ok(error instanceof NotReadyError);
        assert.match(error.seen, /status 404 and asked GET/);
        return true;
      },
    );
  });

  it('for HTTP from a server that answers nothing, something else or without end', async () => {
    await serve(testbed, 80, 'no HTTP');
    await assert.rejects(testbed.waitFor({ http: 80 }, { timeout: 1 }), (error) => {
      assert.ok(error instanceof NotReadyError);
      assert.match(error.seen, /the request failed/);
      return true;
    });
    await testbed.start(
      `exec perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalPort => 82, Listen => 5); my @c; while (my $c = $s->accept) { push @c, $c }'`,
    );
    await testbed.waitFor({ port: 82 });
    await assert.rejects(testbed.waitFor({ http: 82 }, { timeout: 1 }), /did not answer in this time/);
    const once = await testbed.start(
      `exec perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalPort => 83, Listen => 5); my $c = $s->accept; exit(defined <$c> ? 1 : 7)'`,
    );
    await assert.rejects(testbed.waitFor({ http: 83, headers: { 'x y': 'z' } }), { code: 'WRONG_VALUE' });
    assert.equal((await once.ended).status, 7, 'its connection is closed');
  });

  it('for a command with status 0', async () => {
    const waiting = testbed.waitFor({ command: 'echo look; test -e /tmp/ready', user: 'nobody' });
    await testbed.run('sleep 0.2; touch /tmp/ready');
    assert.deepEqual(await waiting, { status: 0, stdout: 'look\n', stderr: '' });
    // A limit that is no number of whole milliseconds.
    assert.equal((await testbed.waitFor({ command: 'true' }, { timeout: 20.0005 })).status, 0);
    await assert.rejects(
      testbed.waitFor({ command: 'echo not yet >&2; exit 7' }, { timeout: Math.ceil(patience(500)) / 1000 }),
      /its status was 7, and it wrote not yet/,
    );
  });

  it('for all of a list', async () => {
    const running = await serve(testbed, 8080, 'x', 'echo up;');
    const [port, line, { status }] = await testbed.waitFor([
      { port: 8080 },
      { log: 'up', of: running },
      { command: ['true'] },
    ]);
    assert.deepEqual([port, line, status], [undefined, 'up', 0]);
    await assert.rejects(
      testbed.waitFor([{ port: 8080 }, { port: 9 }], { timeout: Math.ceil(patience(300)) / 1000 }),
      /port 9/,
    );
  });

  it('ends at once at an abort, a revert and a close', async () => {
    const reason = new Error('enough');
    const stop = new AbortController();
    const running = await testbed.start('exec sleep 1000');
    const aborted = testbed.waitFor([{ port: 9 }, { log: 'x', of: running }], { signal: stop.signal });
    stop.abort(reason);
    await assert.rejects(aborted, reason);

    const reverted = assert.rejects(testbed.waitFor({ port: 9 }), TestbedError);
    await testbed.revert();
    await reverted;

    const other = await Testbed.open({ rootfs: testTarball(), network: 'none' });
    const closed = [{ port: 9 }, { http: 9 }, { command: 'sleep 1000' }].map((condition) =>
      assert.rejects(other.waitFor(condition), { code: 'CLOSED' }),
    );
    await other.close();
    await Promise.all(closed);
    await assert.rejects(other.waitFor({ port: 9 }), { code: 'CLOSED' });
  });

  it('reports a wrong condition', async () => {
    const running = await testbed.start('true');
    for (const [condition, words] of [
      [{}, /nothing to wait for/],
      [{ port: 0 }, /port is 0/],
      [{ port: 5, adress: '' }, /port has no option adress \(did you mean address\)/],
      [{ port: 5, address: 'name' }, /address is name/],
      [{ log: 5, of: running }, /log is 5/],
      [{ log: 'x', of: {} }, /give what start returned/],
      [{ log: 'x', of: running, times: 0 }, /times is 0/],
      [{ http: 80, path: 'x' }, /path is x/],
      [{ http: 80, path: '/a b' }, /path is \/a b; .* encode it/],
      [{ http: 80, status: 'ok' }, /status is ok/],
      [{ command: [] }, /the command is neither/],
    ] as const) {
      await assert.rejects(Reflect.apply(testbed.waitFor, testbed, [condition]), (error) => {
        assert.ok(error instanceof UsageError, String(error));
        assert.match(error.message, words);
        return true;
      });
    }
  });
});

describe('a connection into a testbed', function () {
  this.timeout(120_000);
  after(() => closeAll());

  it('carries both directions and their ends, and ends with the testbed', async () => {
    const testbed = await Testbed.open({ rootfs: testTarball(), network: 'none' });
    await testbed.start(
      `exec perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalPort => 82, Listen => 5); while (my $c = $s->accept) { local $/; my $all = <$c>; print $c length $all; close $c; }'`,
    );
    await testbed.waitFor({ port: 82 });
    const socket = await testbed.connect(82);
    socket.end(Buffer.alloc(3_000_000));
    assert.equal(await text(socket), '3000000');
    const open = await testbed.connect(82);
    const ended = new Promise((resolve) => open.once('close', resolve));
    open.on('error', () => {});
    await testbed.close();
    await ended;
    await assert.rejects(testbed.connect(82), { code: 'CLOSED' });
  });

  it('serves a client that takes a stream, and reports a refusal', async () => {
    await using testbed = await Testbed.open({ rootfs: testTarball(), network: 'none' });
    await serve(testbed, 80, 'HTTP/1.0 200 OK\r\n\r\nbody');
    await testbed.waitFor({ port: 80 });
    const socket = await testbed.connect(80);
    const body = await new Promise<string>((resolve, reject) => {
      request({ createConnection: () => socket, path: '/' }, (response) => resolve(text(response)))
        .on('error', reject)
        .end();
    });
    assert.equal(body, 'body');
    await assert.rejects(testbed.connect(81), {
      code: 'CANNOT_CONNECT',
      name: 'ConnectError',
      message: /127.0.0.1:81: Connection refused/,
    });
    await assert.rejects(testbed.connect(80, '::1'), { code: 'CANNOT_CONNECT' });
  });
});

describe('the lines of a running command', function () {
  this.timeout(120_000);
  let testbed: Testbed;
  before(async () => {
    testbed = await Testbed.open({ rootfs: testTarball() });
  });
  after(() => closeAll());

  it('come while it runs, of both outputs, and end with it', async () => {
    const running = await testbed.start('echo one; read answer; echo "$answer"; echo err >&2');
    const lines: string[] = [];
    for await (const line of running.lines) {
      lines.push(line);
      if (line === 'one') running.stdin.end('two\n');
    }
    assert.deepEqual(lines, ['one', 'two']);
    const errors: string[] = [];
    for await (const line of running.errorLines) errors.push(line);
    assert.deepEqual(errors, ['err']);
    assert.deepEqual(await running.ended, { status: 0 });
  });

  it('may be left early, and the command goes on', async () => {
    const running = await testbed.start('echo ready; seq 100000; echo last');
    for await (const line of running.lines) if (line === 'ready') break;
    assert.deepEqual(await running.ended, { status: 0 });
    let count = 0;
    let last = '';
    for await (const line of running.lines) [count, last] = [count + 1, line];
    assert.deepEqual([count, last], [100_001, 'last']);
  });

  it('end when the command is killed', async () => {
    const running = await testbed.start('echo ready; exec sleep 1000');
    const lines: string[] = [];
    for await (const line of running.lines) {
      lines.push(line);
      running.kill();
    }
    assert.deepEqual(lines, ['ready']);
    assert.deepEqual(await running.ended, { status: 137 });
  });

  it('do not come in the way of a reader of the stream', async () => {
    const running = await testbed.start('echo one; echo two');
    assert.equal(await text(running.stdout), 'one\ntwo\n');
    const lines: string[] = [];
    for await (const line of running.lines) lines.push(line);
    assert.deepEqual(lines, ['one', 'two']);
  });
});
