/**
 * Laboratories: several testbeds on one or more bridges, each with a real address, opened by one process or several of the
 * same user. See docs/networks.md.
 */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../errors.ts';
import { quickHost } from '../host.ts';
import { type Log, silentLog } from '../log.ts';
import type { Holder } from '../namespaces/holder.ts';
import { scriptPath } from '../scripts.ts';
import type { Connection, Connector } from './connector.ts';
import { hostLines, hostsFile } from './hosts.ts';
import { type LinkQuality, queueArguments } from './link.ts';
import {
  bare,
  hardwareAddress,
  isMember,
  type Member,
  type MemberOptions,
  type Port,
  portName,
} from './membership.ts';
import { outsideConnector } from './outside.ts';
import {
  type Claim,
  isAlive,
  isProcessName,
  isRecord,
  nameOf,
  type ProcessName,
  Registry,
  registryFolder,
  thisProcess,
} from './registry.ts';
import { formatSubnet, freeAddress, isHostAddress, normalAddress, parseSubnet } from './subnet.ts';
import { OwnSwitch, Switch } from './switch.ts';

/** A network as the registry has it. */
interface NetworkClaim extends Claim {
  readonly subnets: readonly string[];
  readonly bridge: string;
}

/** A laboratory as the registry has it; the owner is its switch. */
interface LaboratoryClaim extends Claim {
  /** The process that made it. */
  readonly keeper: ProcessName;
}

function isLaboratoryClaim(value: unknown): value is LaboratoryClaim {
  return isRecord(value) && isProcessName(value.owner) && isProcessName(value.keeper);
}

function isNetworkClaim(value: unknown): value is NetworkClaim {
  return (
    isRecord(value) &&
    Array.isArray(value.subnets) &&
    value.subnets.every((subnet) => typeof subnet === 'string') &&
    typeof value.bridge === 'string'
  );
}

const HOSTNAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export class Laboratory {
  readonly name: string;
  /** The process that made it. */
  readonly keeper: ProcessName;
  readonly #switch: Switch;
  readonly #log: Log;
  readonly #folder: string;
  readonly #networks: Registry;
  readonly #members: Registry;
  readonly #addresses: Registry;

  private constructor(name: string, keeper: ProcessName, folder: string, theSwitch: Switch, log: Log) {
    this.name = name;
    this.keeper = keeper;
    this.#switch = theSwitch;
    this.#log = log;
    this.#folder = folder;
    this.#networks = new Registry(join(folder, 'networks'));
    this.#members = new Registry(join(folder, 'members'));
    this.#addresses = new Registry(join(folder, 'addresses'));
  }

  /**
   * Makes a laboratory, which ends with this process.
   * @param options.name by which other processes of the user join it. Default: made up
   * @throws UsageError when the name is taken or a host tool is missing, TestbedError
   */
  static async create(options: { readonly name?: string } = {}, log: Log = silentLog): Promise<Laboratory> {
    const name = options.name ?? `lab-${randomBytes(4).toString('hex')}`;
    const all = new Registry(registryFolder(process.env));
    for (const stale of all.sweep()) rmSync(join(all.path, stale), { recursive: true, force: true });
    const theSwitch = await OwnSwitch.start(log);
    const claim: LaboratoryClaim = { owner: theSwitch.process, keeper: thisProcess() };
    if (!all.claim(name, claim)) {
      await theSwitch.stop();
      throw new UsageError(`there is a laboratory ${name} already; end it, or take another name`);
    }
    const folder = join(all.path, name);
    rmSync(folder, { recursive: true, force: true });
    return new Laboratory(name, claim.keeper, folder, theSwitch, log);
  }

  /** A laboratory that another process of the user keeps. @throws UsageError when there is none of that name */
  static join(name: string, log: Log = silentLog): Laboratory {
    const all = new Registry(registryFolder(process.env));
    const claim = all.read(name);
    if (!isLaboratoryClaim(claim)) throw new UsageError(`there is no laboratory ${name}; it has to be up`);
    return new Laboratory(name, claim.keeper, join(all.path, name), new Switch(claim.owner, log), log);
  }

  /** Adds a network: a bridge with one IPv4 subnet, one IPv6 subnet or both. */
  async network(name: string, subnets: readonly string[]): Promise<Network> {
    const parsed = subnets.map(parseSubnet);
    const versions = new Set(parsed.map(({ version }) => version));
    if (parsed.length === 0 || versions.size !== parsed.length) {
      throw new UsageError(`the network ${name} needs one subnet of IPv4, one of IPv6 or both`);
    }
    const bridge = `b${randomBytes(5).toString('hex')}`;
    const claim: NetworkClaim = {
      owner: this.#switch.process,
      subnets: parsed.map(formatSubnet),
      bridge,
    };
    if (!this.#networks.claim(name, claim)) throw new UsageError(`there is a network ${name} already`);
    await this.#switch.ip(newBridge(bridge), `making the network ${name}`);
    return new Network(this, name, claim.subnets);
  }

  /** The networks by their names. */
  networks(): ReadonlyMap<string, Network> {
    return new Map(
      this.#networks.names().map((name) => [name, new Network(this, name, this.#claimOf(name).subnets)]),
    );
  }

  #claimOf(network: string): NetworkClaim {
    const claim = this.#networks.read(network);
    if (!isNetworkClaim(claim)) {
      throw new UsageError(`there is no network ${network} in the laboratory ${this.name}`);
    }
    return claim;
  }

  /** The hosts that are declared, open or not yet. */
  members(): Member[] {
    return this.#members.names().flatMap((name) => {
      const member = this.#members.read(name);
      return isMember(member) ? [member] : [];
    });
  }

  /**
   * Declares a host: its name and addresses are its own from now on, and in /etc/hosts of all that are opened later.
   * @returns what a testbed takes as its network
   * @throws UsageError when a name or an address is taken or does not fit
   */
  member(options: MemberOptions): Connector {
    const { hostname } = options;
    if (!HOSTNAME.test(hostname)) {
      throw new UsageError(`${hostname} is no host name; take small letters, digits and hyphens`);
    }
    const outside =
      options.outside === true
        ? outsideConnector({ publish: options.publish ?? [], interfaceName: 'outside' }, this.#log)
        : undefined;
    if (outside === undefined && (options.publish ?? []).length > 0) {
      throw new UsageError(`${hostname} has no outside access, so it cannot publish ports; add it`);
    }
    const owner = thisProcess();
    const empty: Member = { owner, hostname, ports: [], hosts: '' };
    if (!this.#members.claim(hostname, empty)) {
      throw new UsageError(`there is a host ${hostname} in the laboratory ${this.name} already`);
    }
    const claimed: string[] = [];
    const release = () => {
      for (const key of claimed) this.#addresses.remove(key);
      this.#members.remove(hostname);
    };
    let member: Member = empty;
    try {
      const ports = options.interfaces.map(
        (plug, index): Port => ({
          network: plug.network,
          inside: `eth${index}`,
          addresses: this.#claimAddresses(plug.network, plug.addresses, claimed),
        }),
      );
      member = { ...empty, ports };
      this.#members.update(hostname, member);
    } catch (error) {
      release();
      throw error;
    }
    const lab = this;
    return {
      resolvConf: resolvConf(options, outside?.resolvConf ?? ''),
      // Asked for when the testbeds are prepared: hosts that were declared meanwhile are in it.
      get hosts() {
        const hosts = lab.#hostLines();
        member = { ...member, hosts };
        return hosts;
      },
      below: this.#switch.process.pid,
      connect: (holder, pid) => this.#connect(holder, pid, member, options, outside),
      release,
    };
  }

  #claimAddresses(
    network: string,
    wanted: readonly string[] | undefined,
    claimed: string[],
  ): readonly string[] {
    const claim = (address: string) => {
      const key = `${network}-${address.replaceAll(':', '_')}`;
      const free = this.#addresses.claim(key, { owner: thisProcess() });
      if (free) claimed.push(key);
      return free;
    };
    const subnets = this.#claimOf(network).subnets.map(parseSubnet);
    if (wanted === undefined) {
      return subnets.map((subnet) => {
        for (const taken = new Set<string>(); ; ) {
          const address = freeAddress(subnet, taken);
          if (claim(address)) return `${address}/${subnet.prefix}`;
          taken.add(address);
        }
      });
    }
    return wanted.map((text) => {
      const address = normalAddress(text);
      const subnet = subnets.find((one) => isHostAddress(one, address));
      if (subnet === undefined) {
        const known = subnets.map(formatSubnet).join(' and ');
        throw new UsageError(`${address} is no address for a host of the network ${network} (${known})`);
      }
      if (!claim(address)) throw new UsageError(`the address ${address} of the network ${network} is taken`);
      return `${address}/${subnet.prefix}`;
    });
  }

  #hostLines(): string {
    return hostLines(
      this.members().flatMap(({ hostname, ports }) =>
        ports.flatMap(({ addresses }) =>
          addresses.map((address) => ({ address: bare(address), name: hostname })),
        ),
      ),
    );
  }

  async #connect(
    holder: Holder,
    pid: number,
    member: Member,
    options: MemberOptions,
    outside: Connector | undefined,
  ): Promise<Connection> {
    const { hostname } = member;
    const cables = member.ports.map((port, index) => ({
      ...port,
      name: portName(pid, index),
      bridge: this.#claimOf(port.network).bridge,
      quality: options.interfaces[index]?.quality ?? {},
    }));
    const theSwitch = this.#switch;
    let beyond: Connection | undefined;
    const end = async () => {
      await Promise.all([theSwitch.delete(cables.map(({ name }) => name)), beyond?.end()]);
    };
    try {
      await theSwitch.ip(
        cables.flatMap(({ name, bridge, inside, network }) => [
          `link add ${name} type veth peer name ${inside} address ${hardwareAddress(network, hostname)} netns ${pid}`,
          `link set ${name} master ${bridge} up`,
        ]),
        `plugging ${hostname} in`,
      );
      await theSwitch.ip(
        [
          ...cables.flatMap(({ inside, addresses }) => [
            // A duplicate is known from the registry; waiting for one would leave the address unusable for a second.
            ...addresses.map((one) => `address add ${one} dev ${inside}${one.includes(':') ? ' nodad' : ''}`),
            `link set ${inside} up`,
          ]),
          ...(options.routes ?? []).map(({ to, via }) => `route add ${to} via ${normalAddress(via)}`),
        ],
        `giving ${hostname} its addresses`,
        pid,
      );
      for (const { name, inside, quality } of cables) {
        const words = queueArguments(quality);
        if (words === undefined) continue;
        await theSwitch.queue(name, words);
        await theSwitch.queue(inside, words, pid);
      }
      if (options.forward === true) await theSwitch.forward(pid);
      beyond = await outside?.connect?.(holder, pid);
      this.#members.update(hostname, { ...member, testbed: nameOf(pid) });
      await this.#tellHosts();
    } catch (error) {
      await end();
      throw error;
    }
    return {
      end: async () => {
        // A laboratory that was closed before its hosts has taken the registry and all links with it.
        if (theSwitch.alive) this.#members.update(hostname, member);
        await end();
      },
    };
  }

  /** Brings /etc/hosts of all open hosts up to date, by a command inside: what is at that path is the testbed's matter. */
  async #tellHosts(): Promise<void> {
    const hosts = this.#hostLines();
    await Promise.all(
      this.members().map(async (member) => {
        const { testbed, hostname } = member;
        if (testbed === undefined || member.hosts === hosts || !isAlive(testbed)) return;
        const { status, stderr } = await quickHost(
          [
            ...(['/bin/sh', scriptPath('on-host', 'execute.sh')] as const),
            ...['-p', String(testbed.pid), '-s', testbed.startTime, '-n', '--'],
            ...['/bin/sh', '-c', 'printf %s "$1" >/etc/hosts', 'sh', hostsFile(hosts)],
          ],
          this.#log,
        );
        if (status !== 0) {
          // One that ends meanwhile needs no names; one that refuses them is no reason to keep others from opening.
          if (isAlive(testbed)) this.#log.warn(`cannot write /etc/hosts of ${hostname}: ${stderr.trim()}`);
          return;
        }
        const now = this.#members.read(hostname);
        if (
          isMember(now) &&
          now.testbed?.startTime === testbed.startTime &&
          now.testbed.pid === testbed.pid
        ) {
          this.#members.update(hostname, { ...now, hosts });
        }
      }),
    );
  }

  /** The links of a host, to be cut, healed and made worse. @throws UsageError when it is not open */
  link(hostname: string, network?: string): Link {
    const { member, testbed } = this.#openMember(hostname);
    const plugged = member.ports
      .map((port, index) => ({ ...port, name: portName(testbed.pid, index) }))
      .filter((port) => network === undefined || port.network === network);
    if (plugged.length === 0) throw new UsageError(`${hostname} is not in the network ${network}`);
    const set = (state: 'up' | 'down') =>
      this.#switch.ip(
        plugged.map(({ name }) => `link set ${name} ${state}`),
        `taking the link of ${hostname} ${state}`,
      );
    return {
      down: () => set('down'),
      up: async () => {
        await set('up');
        await this.#switch.carrying(plugged.map(({ name }) => name));
        await this.#switch.carrying(
          plugged.map(({ inside }) => inside),
          testbed.pid,
        );
      },
      shape: async (quality) => {
        const words = queueArguments(quality);
        for (const { name, inside } of plugged) {
          await this.#switch.queue(name, words);
          await this.#switch.queue(inside, words, testbed.pid);
        }
      },
    };
  }

  /** An open host. @throws UsageError when it is not there */
  host(hostname: string): { readonly pid: number; readonly startTime: string } {
    return this.#openMember(hostname).testbed;
  }

  #openMember(hostname: string) {
    const member = this.#members.read(hostname);
    const known = this.members().map((one) => one.hostname);
    if (!isMember(member)) {
      throw new UsageError(`there is no host ${hostname} in ${this.name}; there are ${known.join(', ')}`);
    }
    const { testbed } = member;
    if (testbed === undefined || !isAlive(testbed)) {
      throw new UsageError(`the host ${hostname} of ${this.name} is not open`);
    }
    return { member, testbed };
  }

  /** Cuts a network in two: the hosts that are named keep to themselves, until it is healed. */
  async cut(network: string, hostnames: readonly string[]): Promise<void> {
    const aside = `c${this.#claimOf(network).bridge.slice(1)}`;
    const present = (await this.#switch.ports()).some(({ name }) => name === aside);
    const lines = hostnames.flatMap((hostname) =>
      this.#plugs(hostname, network).map((name) => `link set ${name} master ${aside}`),
    );
    await this.#switch.ip([...(present ? [] : newBridge(aside)), ...lines], `cutting the network ${network}`);
  }

  async heal(network: string): Promise<void> {
    const { bridge } = this.#claimOf(network);
    const aside = `c${bridge.slice(1)}`;
    const ports = (await this.#switch.ports()).filter((port) => port.bridge === aside);
    const lines = ports.map(({ name }) => `link set ${name} master ${bridge}`);
    await this.#switch.ip(lines, `healing the network ${network}`);
    await this.#switch.delete([aside]);
  }

  #plugs(hostname: string, network: string): string[] {
    const { member, testbed } = this.#openMember(hostname);
    return member.ports.flatMap((port, index) =>
      port.network === network ? [portName(testbed.pid, index)] : [],
    );
  }

  /** Ends it; its hosts have to be closed before. Resolves when its interfaces and its process are gone. */
  async close(): Promise<void> {
    if (!(this.#switch instanceof OwnSwitch)) return;
    await this.#switch.stop();
    rmSync(this.#folder, { recursive: true, force: true });
    new Registry(registryFolder(process.env)).remove(this.name);
  }
}

function newBridge(name: string): string[] {
  // Nothing is plugged in twice, so no spanning tree, and a port forwards at once.
  return [`link add ${name} type bridge forward_delay 0 mcast_snooping 0`, `link set ${name} up`];
}

function resolvConf({ dns, search = [] }: MemberOptions, outside: string): string {
  if (dns === undefined) return outside;
  return [
    ...(search.length > 0 ? [`search ${search.join(' ')}`] : []),
    ...dns.map((address) => `nameserver ${normalAddress(address)}`),
    '',
  ].join('\n');
}

export interface Link {
  down(): Promise<void>;
  up(): Promise<void>;
  /** @throws UsageError when the kernel cannot */
  shape(quality: LinkQuality): Promise<void>;
}

export interface NetworkOptions {
  /** `10.1.0.0/24`, or one of IPv4 and one of IPv6. */
  readonly subnet: string | readonly string[];
  /** Default: net. */
  readonly name?: string;
  /** Name by which other processes of the user join its laboratory. Default: made up. */
  readonly laboratory?: string;
}

export class Network {
  readonly laboratory: Laboratory;
  readonly name: string;
  /** As `formatSubnet` writes them. */
  readonly subnets: readonly string[];

  constructor(laboratory: Laboratory, name: string, subnets: readonly string[]) {
    this.laboratory = laboratory;
    this.name = name;
    this.subnets = subnets;
  }

  /** A network in a laboratory of its own. */
  static async create(options: NetworkOptions, log: Log = silentLog): Promise<Network> {
    const { subnet, name = 'net', laboratory } = options;
    const lab = await Laboratory.create(laboratory === undefined ? {} : { name: laboratory }, log);
    try {
      return await lab.network(name, typeof subnet === 'string' ? [subnet] : subnet);
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /** A network of a laboratory that another process of the user keeps. */
  static join(laboratory: string, name = 'net', log: Log = silentLog): Network {
    const network = Laboratory.join(laboratory, log).networks().get(name);
    if (network === undefined) throw new UsageError(`there is no network ${name} in ${laboratory}`);
    return network;
  }

  /** Declares a host with one interface, see `Laboratory.member`. */
  member(
    options: Omit<MemberOptions, 'interfaces'> & {
      readonly address?: string | readonly string[];
      readonly quality?: LinkQuality;
    },
  ): Connector {
    const { address, quality, ...rest } = options;
    const addresses = typeof address === 'string' ? [address] : address;
    return this.laboratory.member({
      ...rest,
      interfaces: [
        {
          network: this.name,
          ...(addresses === undefined ? {} : { addresses }),
          ...(quality === undefined ? {} : { quality }),
        },
      ],
    });
  }

  link(hostname: string): Link {
    return this.laboratory.link(hostname, this.name);
  }

  cut(hostnames: readonly string[]): Promise<void> {
    return this.laboratory.cut(this.name, hostnames);
  }

  heal(): Promise<void> {
    return this.laboratory.heal(this.name);
  }

  /** Ends the network's laboratory when this process made it; its hosts have to be closed before. */
  close(): Promise<void> {
    return this.laboratory.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
