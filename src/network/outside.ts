/** Outside access of a private network by pasta, or slirp4netns where it is missing, through sockets of the host. */
import { accessSync, constants } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { reasonOf, TestbedError, UsageError } from '../errors.ts';
import { type Argv, briefWords, firstLine, type HostProcess, spawnHost, textOf } from '../host.ts';
import type { Log } from '../log.ts';
import type { Holder } from '../namespaces/holder.ts';
import { lifelineOf } from '../namespaces/lifeline.ts';
import { option } from '../option-words.ts';
import { findProgram, systemPath } from '../processes/find.ts';
import { scriptText } from '../scripts.ts';
import type { Connection, Connector } from './connector.ts';
import { parsePublish, pastaPorts } from './publish.ts';
import { hostResolver, privateResolver } from './resolver.ts';

interface OutsideOptions {
  readonly publish: readonly string[];
  readonly interfaceName?: string;
}

const SLIRP_RESOLVER = '10.0.2.3';

/** Cheap checks only. @throws UsageError that names what is missing */
export function checkOutside({ publish }: OutsideOptions): void {
  const published = publish.map(parsePublish);
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
  } catch (cause) {
    throw new UsageError(`a private network needs /dev/net/tun, which cannot be opened: ${reasonOf(cause)}`, {
      code: 'NO_DEVICE',
      remedy: 'as root: modprobe tun && chmod 666 /dev/net/tun',
      cause,
    });
  }
  if (findProgram('pasta') !== undefined) return;
  if (findProgram('slirp4netns') === undefined) {
    throw new UsageError('a private network needs the program pasta', {
      code: 'NO_PROGRAM',
      remedy: `install the package passt (or slirp4netns), or use ${option('network', 'none')}`,
    });
  }
  if (published.length > 0)
    throw new UsageError('slirp4netns cannot publish ports', {
      code: 'NO_PROGRAM',
      remedy: 'install the package passt',
    });
}

export function outsideConnector(options: OutsideOptions, log: Log): Connector {
  checkOutside(options);
  const name = options.interfaceName ?? 'eth0';
  if (findProgram('pasta') === undefined) {
    const slirp: Argv = [
      ...(['slirp4netns', '--configure', '--mtu=65520', '--disable-host-loopback', '--enable-ipv6'] as const),
      ...['--ready-fd=4', '--netns-type=path', 'NETNS', name],
    ];
    return {
      resolvConf: `nameserver ${SLIRP_RESOLVER}\n`,
      connect: (holder, pid, signal) => Outside.start(holder, pid, { argv: slirp, log, signal }),
    };
  }
  const { text, forward } = privateResolver(hostResolver(), hostAddresses());
  const pasta: Argv = [
    ...(['pasta', '--quiet', '--config-net', '--netns', 'NETNS', '--netns-only'] as const),
    // The gateway's address would lead to the host's loopback, where unprotected services listen.
    ...['--ns-ifname', name, '--no-map-gw', '--no-dhcp', '--no-dhcpv6', '--no-ra'],
    ...pastaPorts(options.publish.map(parsePublish)),
    ...forward.flatMap((address) => ['--dns-forward', address]),
  ];
  return {
    resolvConf: text,
    connect: (holder, pid, signal) => Outside.start(holder, pid, { argv: pasta, log, signal }),
  };
}

class Outside implements Connection {
  readonly #keeper: HostProcess;
  readonly #lifeline: ReturnType<typeof lifelineOf>;

  private constructor(keeper: HostProcess, lifeline: ReturnType<typeof lifelineOf>) {
    this.#keeper = keeper;
    this.#lifeline = lifeline;
  }

  static async start(
    holder: Holder,
    pid: number,
    { argv, log, signal }: { readonly argv: Argv; readonly log: Log; readonly signal: AbortSignal },
  ): Promise<Outside> {
    signal.throwIfAborted();
    const keeper = await spawnHost(
      holder.enter(
        [
          ...(['unshare', '--pid', '--fork', '--kill-child', '--'] as const),
          ...['sh', '-c', scriptText('network', 'outside.sh'), 'outside', String(pid), ...argv],
        ],
        { bare: true },
      ),
      log,
      {
        stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
        env: { PATH: systemPath() },
        cleanEnv: true,
        detached: true,
      },
    );
    const outside = new Outside(keeper, lifelineOf(keeper));
    const complaints = textOf(keeper.child.stderr);
    // The program may hang, and then reads no lifeline.
    const kill = () => keeper.kill('SIGKILL');
    signal.addEventListener('abort', kill, { once: true });
    if (signal.aborted) kill();
    const line = await firstLine(keeper.child.stdout);
    signal.removeEventListener('abort', kill);
    keeper.child.stdout?.destroy();
    if (line !== 'ready') {
      await outside.end();
      // All that has its stderr has ended then.
      const why = words(await complaints);
      signal.throwIfAborted();
      const remedy = /bind.*port/i.test(why)
        ? `choose another port for ${option('publish')}, as that one is in use or not open to this user`
        : `${option('network', 'none')} does without`;
      throw new TestbedError(`${argv[0]} did not connect the testbed with the network of the host: ${why}`, {
        code: 'NETWORK_FAILED',
        remedy,
      });
    }
    keeper.child.stderr?.destroy();
    keeper.child.unref();
    return outside;
  }

  /** The process is pid 1 of pasta's pid namespace, so pasta ends with it. */
  async end(): Promise<void> {
    this.#keeper.child.ref();
    this.#lifeline.destroy();
    await this.#keeper.exited;
  }
}

function words(complaints: string): string {
  const lines = complaints
    .split('\n')
    .filter((line) => line !== '' && !/^Failed to send \d+ bytes/.test(line));
  return briefWords(lines.join('\n')) || 'it ended without a message';
}

function hostAddresses(): Set<string> {
  return new Set(
    Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address)),
  );
}
