import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { TestbedError } from '../../../src/errors.ts';
import { processState } from '../../../src/processes/stat.ts';
import type { Provider } from '../../../src/testbed/provider.ts';
import type { OpenTestbed, TestbedOptions } from '../../../src/testbed/types.ts';
import { waitUntil } from '../../../src/wait.ts';
import { Namespaces } from '../../support/lab.ts';
import { patience } from '../../support/patience.ts';
import { projectDir } from '../../support/rootfs.ts';
import { itWithUsers } from '../../support/skip.ts';
import { script, testProvider } from '../../support/testbed.ts';

/** Answers each connection to a port with a word, in the background, once it listens. perl-base is in every Debian. */
const serve = (port: number, word: string) => `
  perl -MIO::Socket::INET -e '
    $s = IO::Socket::INET->new(LocalAddr => "0.0.0.0", LocalPort => ${port}, Listen => 5, ReuseAddr => 1) or die $@;
    fork and exit;
    open STDIN, "</dev/null"; open STDOUT, ">/dev/null"; open STDERR, ">/dev/null";
    while ($c = $s->accept) { print $c "${word}\\n"; close $c }'`;
const ask = (address: string, port: number) => `
  perl -MIO::Socket::INET -e '
    $s = IO::Socket::INET->new(PeerAddr => "${address}", PeerPort => ${port}, Timeout => 5) or die "no: $@\\n";
    print <$s>'`;

/** What a server at the host's address sends first; undefined when no process listens. */
function askFromHost(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.on('error', () => resolve(undefined));
    socket.on('close', () => resolve(text));
  });
}

function runs(pid: number): boolean {
  const state = processState(pid);
  return state !== undefined && state.state !== 'Z';
}

/** A port that no process listened to a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

describe('networks', function () {
  this.timeout(120_000);
  const providers: Provider[] = [];
  async function open(changes: Partial<TestbedOptions>): Promise<OpenTestbed> {
    const provider = testProvider(changes);
    providers.push(provider);
    return provider.open();
  }
  const left = new Namespaces();
  afterEach(async () => {
    left.release();
    for (const provider of providers.splice(0)) await provider.dispose();
  });

  describe('--network=none', () => {
    it('has lo, up, with both addresses, and nothing else', async () => {
      const testbed = await open({ network: 'none' });
      const { stdout } = await script(
        testbed,
        'ls /sys/class/net; cat /sys/class/net/lo/flags /proc/net/if_inet6; tail -n +2 /proc/net/route; grep -c 127.0.0.1 /proc/net/fib_trie',
      );
      assert.equal(
        stdout.replaceAll(/ +/g, ' '),
        'lo\n0x9\n00000000000000000000000000000001 01 80 10 80 lo\n2\n',
      );
    });

    it('lets two testbeds listen to one port, a daemon of one command answers the next, and a revert ends it', async () => {
      const [one, two] = await Promise.all([open({ network: 'none' }), open({ network: 'none' })]);
      for (const [testbed, word] of [
        [one, 'first'],
        [two, 'second'],
      ] as const) {
        assert.deepEqual(await script(testbed, serve(80, word)), { status: 0, stdout: '', stderr: '' });
      }
      assert.equal((await script(one, ask('127.0.0.1', 80))).stdout, 'first\n');
      assert.equal((await script(two, ask('localhost', 80))).stdout, 'second\n');
      await one.revert();
      assert.match((await script(one, ask('127.0.0.1', 80))).stderr, /^no: .*refused/);
    });
  });

  describe('--network=private', () => {
    itWithUsers('reaches the outside: names and package lists', async () => {
      const testbed = await open({ network: 'private' });
      const { status, stdout, stderr } = await script(testbed, 'apt-get update --error-on=any');
      assert.equal(status, 0, stdout + stderr);
    });

    it("does not reach what listens on the host's loopback", async () => {
      const server = createServer((socket) => socket.end('host\n')).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      try {
        assert.equal(await askFromHost(port), 'host\n');
        const testbed = await open({ network: 'private' });
        const gateway = await script(
          testbed,
          `perl -lane 'print join ".", reverse map hex, $F[2] =~ /../g if $F[1] eq "00000000"' /proc/net/route`,
        );
        assert.match(gateway.stdout, /^\d+\.\d+\.\d+\.\d+\n$/);
        for (const address of ['127.0.0.1', gateway.stdout.trim()]) {
          const { status, stdout, stderr } = await script(testbed, ask(address, port));
          assert.deepEqual([status === 0, stdout], [false, ''], stderr);
        }
      } finally {
        server.close();
      }
    });

    it('is disconnected when the testbed ends as soon as it is connected', async () => {
      const log: string[] = [];
      const provider = testProvider({
        network: {
          resolvConf: '',
          connect: async (_, pid) => {
            process.kill(pid, 'SIGKILL');
            await waitUntil(() => !runs(pid), patience(5000));
            return { end: async () => void log.push('disconnected') };
          },
        },
      });
      await assert.rejects(provider.open(), TestbedError);
      assert.deepEqual(log, ['disconnected']);
      await provider.dispose();
    });

    it('publishes what it is asked to, also after a revert, until it is closed', async () => {
      const port = await freePort();
      const testbed = await open({ network: 'private', publish: [`${port}:80`] });
      for (const word of ['before', 'after']) {
        await script(testbed, serve(80, word));
        assert.equal(await askFromHost(port), `${word}\n`);
        await testbed.revert();
      }
      await testbed.close();
      assert.equal(await askFromHost(port), undefined);
    });

    it('reports that a port is in use', async () => {
      const listener = createServer();
      listener.listen(0, '127.0.0.1');
      await once(listener, 'listening');
      const address = listener.address();
      const port = typeof address === 'object' ? address?.port : undefined;
      try {
        await assert.rejects(
          open({ network: 'private', publish: [`${port}:80`] }),
          /choose another port for publish/,
        );
      } finally {
        listener.close();
      }
    });

    it('leaves no process when close resolves', async () => {
      const testbed = await open({ network: 'private' });
      left.add(testbed.pid);
      assert.ok((await left.interfaces()).length === 1, 'pasta is not there');
      await testbed.close();
      assert.deepEqual([left.members(['net']), await left.interfaces()], [[], []]);
    });

    it('leaves no process when the server is killed', async () => {
      const server = spawn(
        process.execPath,
        ['--import=tsx', `${projectDir}test/support/open-and-wait.ts`, 'private'],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      const [line] = await once(createInterface(server.stdout), 'line');
      left.add(Number(line));
      assert.ok((await left.interfaces()).length === 1, 'pasta is not there');
      server.kill('SIGKILL');
      await once(server, 'exit');
      assert.ok(
        await waitUntil(() => left.members().length === 0, patience(2000)),
        left.members().join('\n'),
      );
      assert.deepEqual(await left.interfaces(), []);
    });
  });
});
