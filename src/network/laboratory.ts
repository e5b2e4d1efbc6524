/** Laboratories: testbeds on networks, each with a real address, opened by processes of one user. See docs/networks.md. */
import { UsageError } from '../errors.ts';
import { type Log, silentLog } from '../log.ts';
import { type ProcessName, thisProcess } from '../processes/identity.ts';
import { randomBytes } from '../random.ts';
import { cutNetwork, healNetwork, type Link, linkOf } from './cables.ts';
import type { Connector } from './connector.ts';
import { isHostname } from './hosts.ts';
import { Ledger } from './ledger.ts';
import { checkQuality, type LinkQuality } from './link.ts';
import type { Member, MemberOptions } from './membership.ts';
import { outsideConnector } from './outside.ts';
import { plugIn } from './plug.ts';
import { memberResolver } from './resolver.ts';
import { formatSubnet, parseSubnet } from './subnet.ts';
import { newBridge, OwnSwitch, Switch } from './switch.ts';

/**
 * Networks, and testbeds on them with real addresses, in one or several processes of a user. It ends with the process that made it.
 * For a single network see {@link Network.create}.
 */
export class Laboratory {
  /** The name by which other processes of the user join it. */
  readonly name: string;
  /** @internal */
  readonly keeper: ProcessName;
  readonly #ledger: Ledger;
  readonly #switch: Switch;
  readonly #log: Log;
  #closing: Promise<void> | undefined;

  private constructor(ledger: Ledger, theSwitch: Switch, log: Log) {
    this.name = ledger.name;
    this.keeper = ledger.claim.keeper;
    this.#ledger = ledger;
    this.#switch = theSwitch;
    this.#log = log;
  }

  /**
   * Makes a laboratory, which ends with this process.
   * @param log for messages of --debug
   * @param options.name by which other processes of the user join it. Default: made up
   * @throws {@link UsageError} when the name is taken or a host tool is missing, {@link TestbedError}
   */
  static async create(options: { readonly name?: string } = {}, log: Log = silentLog): Promise<Laboratory> {
    const name = options.name ?? `lab-${randomBytes(4).toString('hex')}`;
    Ledger.sweep();
    const theSwitch = await OwnSwitch.start(log);
    try {
      const ledger = Ledger.enter(name, { owner: theSwitch.process, keeper: thisProcess() });
      return new Laboratory(ledger, theSwitch, log);
    } catch (error) {
      await theSwitch.stop();
      throw error;
    }
  }

  /**
   * A laboratory that another process of the user keeps.
   * @param log for messages of --debug
   * @throws {@link UsageError} when there is none of that name
   */
  static join(name: string, log: Log = silentLog): Laboratory {
    const ledger = Ledger.find(name);
    return new Laboratory(ledger, new Switch(ledger.claim.owner, log), log);
  }

  /**
   * Adds a network: a bridge with one IPv4 subnet, one IPv6 subnet or both.
   * @param subnets such as `10.1.0.0/24` and `fd00::/64`
   * @throws {@link UsageError} when the name is taken or a subnet is wrong
   */
  async network(name: string, subnets: readonly string[]): Promise<Network> {
    const parsed = subnets.map(parseSubnet);
    const versions = new Set(parsed.map(({ version }) => version));
    if (parsed.length === 0 || versions.size !== parsed.length) {
      throw new UsageError(`the network ${name} needs one subnet of IPv4, one of IPv6, or both`, {
        code: 'WRONG_VALUE',
        remedy: 'give it like 10.1.0.0/24',
      });
    }
    const bridge = `b${randomBytes(5).toString('hex')}`;
    const claim = { owner: this.#switch.process, subnets: parsed.map(formatSubnet), bridge };
    this.#ledger.enterNetwork(name, claim);
    await this.#switch.ip(newBridge(bridge), `making the network ${name}`);
    return new Network(this, name, claim.subnets);
  }

  /** The networks by their names. */
  networks(): ReadonlyMap<string, Network> {
    const claims = [...this.#ledger.networks()];
    return new Map(claims.map(([name, { subnets }]) => [name, new Network(this, name, subnets)]));
  }

  /** The hosts that are declared, open or not yet. @internal */
  members(): Member[] {
    return this.#ledger.members();
  }

  /**
   * Declares a host: its name and addresses are its own from now on, and in /etc/hosts of all that are opened later.
   * @returns what a testbed takes as its network
   * @internal
   * @throws {@link UsageError} when a name or an address is taken or does not fit
   */
  member(options: MemberOptions): Connector {
    const { hostname, interfaces, publish = [] } = options;
    if (!isHostname(hostname)) {
      throw new UsageError(`${hostname} is not a host name`, {
        code: 'WRONG_VALUE',
        remedy: 'use lower-case letters, digits and hyphens',
      });
    }
    for (const { quality } of interfaces) if (quality !== undefined) checkQuality(quality);
    const outside =
      options.outside === true
        ? outsideConnector({ publish, interfaceName: 'outside' }, this.#log)
        : undefined;
    if (outside === undefined && publish.length > 0) {
      throw new UsageError(`${hostname} publishes ports but has no access to the outside`, {
        code: 'WRONG_OPTION',
        remedy: 'give it outside: true',
      });
    }
    const resolvConf = memberResolver(options, outside?.resolvConf ?? '');
    const { member: declared, release } = this.#ledger.declare(hostname, interfaces);
    let member: Member = declared;
    const place = { ledger: this.#ledger, theSwitch: this.#switch, log: this.#log };
    return {
      resolvConf,
      // Read when the testbeds are prepared, so that hosts declared meanwhile are included.
      get hosts() {
        const hosts = place.ledger.hostLines();
        member = { ...member, hosts };
        return hosts;
      },
      below: this.#switch.process.pid,
      connect: (holder, pid, signal) =>
        plugIn(place, pid, member, options, () => outside?.connect?.(holder, pid, signal)),
      release,
    };
  }

  /**
   * The links of a host.
   * @param network name of one of its networks. Default: all of them
   * @throws {@link UsageError} when the host is not open, or not in that network
   */
  link(hostname: string, network?: string): Link {
    return linkOf(this.#ledger, this.#switch, hostname, network);
  }

  /** @internal */
  host(hostname: string): { readonly pid: number; readonly startTime: string } {
    return this.#ledger.openMember(hostname).testbed;
  }

  /** Splits a network in two, until it is healed: the hosts that are named reach each other and no other host. @throws {@link UsageError} */
  cut(network: string, hostnames: readonly string[]): Promise<void> {
    return cutNetwork(this.#ledger, this.#switch, network, hostnames);
  }

  /** Joins a network again that was split. @throws {@link UsageError} */
  heal(network: string): Promise<void> {
    return healNetwork(this.#ledger, this.#switch, network);
  }

  /** Ends it; its hosts have to be closed before. Resolves when its interfaces and its process are gone. May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (!(this.#switch instanceof OwnSwitch)) return;
    try {
      await this.#switch.stop();
    } finally {
      this.#ledger.remove();
    }
  }
}

/** A network in a laboratory of its own. */
export interface NetworkOptions {
  /** `10.1.0.0/24`, or one of IPv4 and one of IPv6. */
  readonly subnet: string | readonly string[];
  /** Its name in the laboratory. Default: net. */
  readonly name?: string;
  /** Name by which other processes of the user join its laboratory. Default: made up. */
  readonly laboratory?: string;
}

/** A network with real addresses, for {@link OpenOptions.network}: each testbed that is opened with it is a host. */
export class Network {
  /** The laboratory that it belongs to. */
  readonly laboratory: Laboratory;
  /** Its name in the laboratory. */
  readonly name: string;
  /** Its subnets, such as `10.1.0.0/24`: one of IPv4, one of IPv6, or both. */
  readonly subnets: readonly string[];

  /** @internal */
  constructor(laboratory: Laboratory, name: string, subnets: readonly string[]) {
    this.laboratory = laboratory;
    this.name = name;
    this.subnets = subnets;
  }

  /**
   * Makes a network in a laboratory of its own, which ends with this process.
   * @param log for messages of --debug
   * @throws {@link UsageError} when the name of the laboratory is taken, a subnet is wrong or a program of the host is missing; {@link TestbedError}
   */
  static async create(options: NetworkOptions, log: Log = silentLog): Promise<Network> {
    const { subnet, name = 'net', laboratory } = options;
    const lab = await Laboratory.create(laboratory === undefined ? {} : { name: laboratory }, log);
    try {
      return await lab.network(name, [subnet ?? []].flat());
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /**
   * A network of a laboratory that another process of the user keeps.
   * @param laboratory name of the laboratory
   * @param name of the network. Default: net
   * @param log for messages of --debug
   * @throws {@link UsageError} when there is no such laboratory or network
   */
  static join(laboratory: string, name = 'net', log: Log = silentLog): Network {
    const network = Laboratory.join(laboratory, log).networks().get(name);
    if (network === undefined)
      throw new UsageError(`there is no network ${name} in the laboratory ${laboratory}`, {
        code: 'NO_NETWORK',
        remedy: 'use one that it has',
      });
    return network;
  }

  /** Declares a host with one interface, see `Laboratory.member`. @internal */
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

  /** The link of a host in this network. @throws {@link UsageError} when the host is not open */
  link(hostname: string): Link {
    return this.laboratory.link(hostname, this.name);
  }

  /** Splits the network in two, until it is healed: the hosts that are named reach each other and no other host. @throws {@link UsageError} */
  cut(hostnames: readonly string[]): Promise<void> {
    return this.laboratory.cut(this.name, hostnames);
  }

  /** Joins the network again after `cut`. @throws {@link UsageError} */
  heal(): Promise<void> {
    return this.laboratory.heal(this.name);
  }

  /** Ends the network's laboratory when this process made it; its hosts have to be closed before. May be called again. */
  close(): Promise<void> {
    return this.laboratory.close();
  }

  /** `await using net = await Network.create(…)` closes it at the end of the block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
