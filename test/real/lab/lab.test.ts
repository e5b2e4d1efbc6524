import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { UsageError } from '../../../src/errors.ts';
import { Testbed } from '../../../src/library/testbed.ts';
import { silentLog } from '../../../src/log.ts';
import { Network } from '../../../src/network/laboratory.ts';
import { Ledger } from '../../../src/network/ledger.ts';
import { Switch } from '../../../src/network/switch.ts';
import { updateHosts } from '../../../src/network/update-hosts.ts';
import { isRecord } from '../../../src/processes/claims.ts';
import { isProcessName, type ProcessName } from '../../../src/processes/identity.ts';
import { runtimeFolder } from '../../../src/processes/runtime-folder.ts';
import { processState } from '../../../src/processes/stat.ts';
import type { Provider } from '../../../src/testbed/provider.ts';
import type { OpenTestbed, TestbedOptions } from '../../../src/testbed/types.ts';
import { waitUntil } from '../../../src/wait.ts';
import { Namespaces, useLabs } from '../../support/lab.ts';
import { patience } from '../../support/patience.ts';
import { PROGRAM } from '../../support/program.ts';
import { projectDir, testTarball } from '../../support/rootfs.ts';
import { script, testProvider } from '../../support/testbed.ts';

/** Debian's Node has parts of itself here, and in shared libraries. */
const MODULES = '/usr/share/nodejs';
const PING = (host: string) => `ping -n -c 1 -W 2 ${host} >/dev/null`;

/** The process that keeps the switch of a laboratory of this process's user. */
function switchOf({ laboratory }: Network): ProcessName {
  const path = join(runtimeFolder(process.env), 'laboratories', `${laboratory.name}.json`);
  const claim: unknown = JSON.parse(readFileSync(path, 'utf8'));
  if (!isRecord(claim) || !isProcessName(claim.owner)) throw new Error(`${path} says nothing of a switch`);
  return claim.owner;
}

describe('laboratories', function () {
  this.timeout(120_000);
  const providers: Provider[] = [];
  const networks: Network[] = [];
  const children: ChildProcess[] = [];
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await Promise.all(providers.splice(0).map((provider) => provider.dispose()));
    await Promise.all(networks.splice(0).map((network) => network.close()));
  });

  async function create(subnet: string | readonly string[]): Promise<Network> {
    const network = await Network.create({ subnet });
    networks.push(network);
    return network;
  }

  function provide(network: Network, hostname: string, changes: Partial<TestbedOptions> = {}): Provider {
    const provider = testProvider({
      root: { tarball: testTarball('lab') },
      network: network.member({ hostname }),
      hostname,
      ...changes,
    });
    providers.push(provider);
    return provider;
  }

  const open = (network: Network, hostname: string): Promise<OpenTestbed> =>
    provide(network, hostname).open();

  it('give each host an address, a name, and all names in /etc/hosts, in whatever order they come', async () => {
    const network = await create(['10.7.0.0/24', 'fd00:7::/64']);
    const first = await open(network, 'first');
    const second = await open(network, 'second');
    for (const [testbed, other] of [
      [first, 'second'],
      [second, 'first'],
    ] as const) {
      assert.equal((await script(testbed, PING(other))).status, 0, `ping ${other}`);
      assert.equal((await script(testbed, `${PING('fd00:7::1')} && ${PING('fd00:7::2')}`)).status, 0);
      const { stdout } = await script(testbed, 'grep -E "first|second" /etc/hosts');
      assert.equal(stdout, '10.7.0.1 first\nfd00:7::1 first\n10.7.0.2 second\nfd00:7::2 second\n');
    }
    assert.equal((await script(first, 'hostname; cat /etc/hostname')).stdout, 'first\nfirst\n');
  });

  it('keep their addresses over a revert, and reach the neighbours at once', async () => {
    const network = await create('10.7.0.0/24');
    const [one, two] = [await open(network, 'one'), await open(network, 'two')];
    assert.equal((await script(two, PING('one'))).status, 0);
    await one.revert();
    assert.equal((await script(two, PING('one'))).status, 0);
    assert.equal((await script(one, PING('two'))).status, 0);
  });

  it('refuse what is taken or does not fit', async () => {
    const network = await create('10.7.0.0/29');
    network.member({ hostname: 'one', address: '10.7.0.1' });
    for (const [code, options] of [
      ['NAME_TAKEN', { hostname: 'one' }],
      ['ADDRESS_TAKEN', { hostname: 'two', address: '10.7.0.1' }],
      ['WRONG_VALUE', { hostname: 'two', address: '10.7.0.7' }],
      ['WRONG_VALUE', { hostname: 'Two' }],
    ] as const) {
      assert.throws(() => network.member(options), { name: 'UsageError', code });
    }
    // Nothing of what was refused is kept.
    network.member({ hostname: 'two', address: '10.7.0.2' });
  });

  it('keep no name or address for a testbed whose options are wrong, and add no listener for each', async () => {
    const network = await create('10.7.0.0/30');
    const rootfs = testTarball('lab');
    for (const wrong of [{ drainTimeout: -1 }, { link: { loss: 200 } }]) {
      const options = { rootfs, network, hostname: 'one', address: '10.7.0.1', ...wrong };
      await assert.rejects(Testbed.open(options), { code: 'WRONG_VALUE' });
    }
    const listeners: number[] = [];
    for (let round = 0; round < 2; round++) {
      const testbed = await Testbed.open({ rootfs, network, hostname: 'one', address: '10.7.0.1' });
      await assert.rejects(network.link('one').shape({ latency: -1 }), { code: 'WRONG_VALUE' });
      await testbed.close();
      listeners.push(process.listenerCount('beforeExit'));
    }
    assert.equal(listeners[1], listeners[0]);
  });

  it('may be closed twice, when another one has the name', async () => {
    const laboratory = `test-${process.pid}`;
    const first = await Network.create({ laboratory, subnet: '10.7.0.0/24' });
    await first.close();
    networks.push(await Network.create({ laboratory, subnet: '10.7.0.0/24' }));
    await first.close();
    Network.join(laboratory);
  });

  it('are reported as closed when a testbed is opened in one that is', async () => {
    const network = await create('10.7.0.0/24');
    await network.close();
    const closed = { name: 'UsageError', code: 'NO_LABORATORY' };
    assert.throws(() => network.member({ hostname: 'one' }), closed);
    await assert.rejects(network.laboratory.network('two', ['10.8.0.0/24']), closed);
    assert.throws(() => network.laboratory.networks(), closed);
  });

  it('are not kept from opening hosts by one whose /etc/hosts cannot be written', async () => {
    const network = await create('10.7.0.0/24');
    const testbed = await open(network, 'one');
    await script(testbed, 'rm /etc/hosts; mkfifo /etc/hosts');
    network.member({ hostname: 'two' });
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (words: string) => void warnings.push(words) };
    const ledger = Ledger.find(network.laboratory.name);
    await updateHosts(ledger, log, 200);
    assert.match(warnings.join(), /^cannot write \/etc\/hosts of the host one, which then lacks names/);
    // A list that is written late is not the last one.
    const updating = updateHosts(ledger, silentLog, 60_000);
    network.member({ hostname: 'three' });
    const read = async () => (await script(testbed, 'cat /etc/hosts')).stdout;
    let list = await read();
    assert.match(list, / two\n/);
    while (!list.includes(' three\n')) list = await read();
    await updating;
  });

  it('may be closed before their hosts, which can still be closed', async () => {
    const network = await create('10.7.0.0/24');
    const testbed = await open(network, 'one');
    await network.close();
    assert.equal((await script(testbed, 'ls /sys/class/net')).stdout, 'lo\n');
    await testbed.close();
  });

  it('say what a kernel without netem cannot do, or delay packets', async () => {
    const network = await create('10.7.0.0/24');
    const testbed = await open(network, 'one');
    await open(network, 'two');
    const link = network.link('two');
    await link.shape({ bandwidth: 1e6 });
    assert.equal((await script(testbed, PING('two'))).status, 0);
    try {
      await link.shape({ latency: 100 });
    } catch (error) {
      assert.ok(error instanceof UsageError);
      assert.match(
        error.message,
        /this kernel has no netem, which latency and loss need.*modprobe sch_netem/,
      );
      return;
    }
    const { stdout } = await script(testbed, 'ping -n -c 2 -W 5 two');
    const [, time] = /time=([\d.]+) ms\s*$/m.exec(stdout) ?? [];
    assert.ok(Number(time) >= 200, stdout);
  });

  it('connect hosts that several processes of the user open', async () => {
    const network = await create('10.7.0.0/24');
    const here = await open(network, 'here');
    const there = spawn(
      process.execPath,
      ['--import=tsx', `${projectDir}test/support/join-and-wait.ts`, network.laboratory.name, 'there'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    children.push(there);
    const [line] = await once(createInterface(there.stdout), 'line');
    assert.equal((await script(here, PING('there'))).status, 0);
    const left = new Namespaces();
    left.add(Number(line));
    there.kill('SIGKILL');
    await once(there, 'exit');
    const theirs = () => left.members().filter((member) => member.startsWith(`${line} `));
    assert.ok(await waitUntil(() => theirs().length === 0, patience(2000)), left.members().join('\n'));
    left.release();
    // Its name and address are free again.
    const again = await open(network, 'there');
    assert.equal((await script(again, PING('here'))).status, 0);
  });

  it('leave no interface, namespace or process: 100 times up and down', async function () {
    this.timeout(400_000);
    const one = testTarball('lab');
    for (let round = 0; round < 100; round += 1) {
      const network = await Network.create({ subnet: '10.7.0.0/24' });
      const owner = switchOf(network);
      const left = new Namespaces();
      left.add(owner.pid);
      const hosts = ['one', 'two'].map((hostname) =>
        testProvider({ root: { tarball: one }, network: network.member({ hostname }), hostname }),
      );
      for (const testbed of await Promise.all(hosts.map((host) => host.open()))) left.add(testbed.pid);
      const ports = async () => (await new Switch(owner, silentLog).ports()).map(({ name }) => name);
      assert.equal((await ports()).length, 3, `round ${round}: a bridge and two hosts`);
      await Promise.all(hosts.map((host) => host.dispose()));
      assert.deepEqual(
        (await ports()).filter((name) => !name.startsWith('b')),
        [],
        `round ${round}`,
      );
      await network.close();
      assert.deepEqual(left.members(), [], `round ${round}`);
      assert.deepEqual(await left.interfaces(), [], `round ${round}`);
      left.release();
    }
  });

  describe('on the command line', () => {
    const lab = useLabs();

    const ROUTED = `
root: {tarball: root.tar.zst}
networks: {left: 10.8.0.0/24, right: 10.9.0.0/24}
hosts:
  a: {networks: {left: 10.8.0.2}, gateway: 10.8.0.1}
  router: {networks: {left: 10.8.0.1, right: 10.9.0.1}, forward: true}
  b: {networks: {right: 10.9.0.2}, gateway: 10.9.0.1}
`;

    it('go up, are seen, run commands, pass packets through a router, and are gone when down returns', async () => {
      const two = lab(ROUTED);
      await two.up();
      const rows = (await two.hosts()).map(({ host, addresses }) => ({ host, addresses }));
      assert.deepEqual(rows, [
        { host: 'a', addresses: ['10.8.0.2/24'] },
        { host: 'b', addresses: ['10.9.0.2/24'] },
        { host: 'router', addresses: ['10.8.0.1/24', '10.9.0.1/24'] },
      ]);
      assert.equal((await two.on('a', `${PING('b')} && echo reached`)).stdout, 'reached\n');
      assert.equal((await two.call('exec', 'b', 'sh', '-c', 'exit 7')).status, 7);
      assert.equal((await two.call('exec', 'b', '--', 'echo', '--json', '-d')).stdout, '--json -d\n');
      const root = await two.call('exec', 'b', '--user', 'root', '-d', 'echo', '--json', '-d');
      assert.equal(
        root.stdout,
        '--json -d\n',
        'options behind the host are those of lab, behind the command its own',
      );
      assert.match((await two.call('ps', 'b')).stderr, /unexpected word b/);

      await two.must('link', 'router', 'down', '--network', 'right');
      assert.notEqual((await two.on('a', PING('b'))).status, 0);
      assert.equal((await two.on('a', PING('10.8.0.1'))).status, 0);
      await two.must('link', 'router', 'up', '--network', 'right');
      // The neighbours ask again for each other's hardware addresses once a second; until then the router says "unreachable".
      const retry =
        'tries=0; until ping -n -c 1 -W 1 b; do tries=$((tries + 1)); [ "$tries" -lt 20 ] || exit 1; done';
      assert.equal((await two.on('a', retry)).status, 0);

      await two.must('down');
      assert.deepEqual(two.namespaces.members(), []);
      assert.deepEqual(await two.namespaces.interfaces(), []);
      assert.deepEqual(two.registered(), []);
      assert.match((await two.call('ps')).stderr, /no laboratory \S+ is up; start it/);
      const again = await two.call('down');
      assert.equal(again.status, 0);
      assert.match(again.stderr, /^virt-ts-unshare: the laboratory \S+ is not up\n$/);
    });

    for (const foreground of [false, true]) {
      it(`hear an interrupt while an image is built${foreground ? ' in the foreground' : ''}`, async () => {
        const waiting = lab('networks: { lan: 10.9.0.0/24 }\nhosts: { one: { root: trixie } }\n');
        const { folder, path } = waiting;
        const built = join(folder, 'building');
        writeFileSync(join(folder, 'mmdebstrap'), `#!/bin/sh\necho $$ >"${built}"\nexec sleep 1000\n`);
        chmodSync(join(folder, 'mmdebstrap'), 0o755);
        const child = spawn(
          process.execPath,
          [PROGRAM, 'lab', 'up', ...(foreground ? ['--foreground'] : []), path],
          {
            stdio: ['ignore', 'ignore', 'pipe'],
            env: {
              ...process.env,
              XDG_CACHE_HOME: join(folder, 'cache'),
              XDG_RUNTIME_DIR: folder,
              PATH: `${folder}:${process.env.PATH}`,
            },
          },
        );
        children.push(child);
        assert.ok(await waitUntil(() => existsSync(built), patience(20_000)));
        child.kill('SIGINT');
        const [, signal] = await once(child, 'exit');
        assert.equal(signal, 'SIGINT');
        assert.deepEqual(waiting.registered(), []);
        const builder = Number(readFileSync(built, 'utf8'));
        assert.ok(await waitUntil(() => processState(builder) === undefined, patience(2000)));
      });
    }

    it('are drawn without being up', async () => {
      const drawn = lab(ROUTED);
      assert.match(await drawn.must('graph'), /^<svg .*<\/svg>\s*$/s);
      assert.match(await drawn.must('graph', '--dot'), /"router" -- "net right"/);
    });

    it('leave nothing when a command fails, and say which', async () => {
      const broken = lab(ROUTED.replace('forward: true', 'commands: ["true", "exit 3"]'));
      const { status, stderr } = await broken.call('up');
      assert.notEqual(status, 0);
      assert.match(stderr, /the command "exit 3" of the host router ended with status 3/);
      assert.deepEqual(broken.registered(), []);
    });

    it('leave no process within two seconds of the death of their keeper', async () => {
      const killed = lab(ROUTED);
      await killed.up();
      const [name] = killed.registered().filter((one) => one.endsWith('.json'));
      const claim: unknown = JSON.parse(readFileSync(join(killed.claims, name ?? ''), 'utf8'));
      if (!isRecord(claim) || !isProcessName(claim.keeper)) throw new Error('the registry names no keeper');
      process.kill(claim.keeper.pid, 'SIGKILL');
      assert.ok(
        await waitUntil(() => killed.namespaces.members().length === 0, patience(2000)),
        killed.namespaces.members().join('\n'),
      );
      // And the next one can begin.
      await killed.up();
    });

    it('are made inside a testbed too', async () => {
      const provider = testProvider({
        root: { tarball: testTarball('lab') },
        network: 'none',
        binds: [
          { outside: projectDir.replace(/\/$/, ''), inside: '/srv/project' },
          { outside: process.execPath, inside: '/usr/local/bin/node' },
          ...(existsSync(MODULES)
            ? [
                { outside: MODULES, inside: MODULES },
                { outside: '/usr/lib', inside: '/srv/lib' },
              ]
            : []),
          { outside: testTarball('lab'), inside: '/srv/root.tar.zst' },
        ],
      });
      providers.push(provider);
      const testbed = await provider.open();
      const { stdout, stderr } = await script(
        testbed,
        `cat >/srv/lab.yaml <<'END'\n${ROUTED}\nEND
        for libc in /srv/lib/*/libc.so.6; do
            [ ! -e "$libc" ] || export LD_LIBRARY_PATH="\${libc%/*}"
        done
        lab() { node /srv/project/bin/virt-ts-unshare lab "$@"; }
        lab up /srv/lab.yaml >/dev/null && lab exec /srv/lab.yaml a ${PING('b')} && echo reached && lab down /srv/lab.yaml`,
      );
      assert.equal(stdout, 'reached\n', stderr);
    });
  });
});
