/** Laboratories: testbeds on networks, each with a real address, opened by processes of one user. See docs/networks.md. */
import { UsageError } from '../errors.ts';
import { type Log, silentLog } from '../log.ts';
import { type ProcessName, thisProcess } from '../processes/identity.ts';
import { randomBytes } from '../random.ts';
import { cutNetwork, healNetwork, type Link, linkOf } from './cables.ts';
import type { Connector } from './connector.ts';
import { isHostname } from './hosts.ts';
import { Ledger } from './ledger.ts';
import type { LinkQuality } from './link.ts';
import type { Member, MemberOptions } from './membership.ts';
import { outsideConnector } from './outside.ts';
import { plugIn } from './plug.ts';
import { memberResolver } from './resolver.ts';
import { formatSubnet, parseSubnet } from './subnet.ts';
import { newBridge, OwnSwitch, Switch } from './switch.ts';

export class Laboratory {
  readonly name: string;
  readonly keeper: ProcessName;
  readonly #ledger: Ledger;
  readonly #switch: Switch;
  readonly #log: Log;

  private constructor(ledger: Ledger, theSwitch: Switch, log: Log) {
    this.name = ledger.name;
    this.keeper = ledger.claim.keeper;
    this.#ledger = ledger;
    this.#switch = theSwitch;
    this.#log = log;
  }

  /**
   * Makes a laboratory, which ends with this process.
   * @param options.name by which other processes of the user join it. Default: made up
   * @throws UsageError when the name is taken or a host tool is missing, TestbedError
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

  /** A laboratory that another process of the user keeps. @throws UsageError when there is none of that name */
  static join(name: string, log: Log = silentLog): Laboratory {
    const ledger = Ledger.find(name);
    return new Laboratory(ledger, new Switch(ledger.claim.owner, log), log);
  }

  /** Adds a network: a bridge with one IPv4 subnet, one IPv6 subnet or both. */
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

  /** The hosts that are declared, open or not yet. */
  members(): Member[] {
    return this.#ledger.members();
  }

  /**
   * Declares a host: its name and addresses are its own from now on, and in /etc/hosts of all that are opened later.
   * @returns what a testbed takes as its network
   * @throws UsageError when a name or an address is taken or does not fit
   */
  member(options: MemberOptions): Connector {
    const { hostname, interfaces, publish = [] } = options;
    if (!isHostname(hostname)) {
      throw new UsageError(`${hostname} is no host name`, {
        code: 'WRONG_VALUE',
        remedy: 'use lower-case letters, digits and hyphens',
      });
    }
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
      connect: (holder, pid) => plugIn(place, holder, pid, member, options, outside),
      release,
    };
  }

  /** The links of a host. @throws UsageError when it is not open */
  link(hostname: string, network?: string): Link {
    return linkOf(this.#ledger, this.#switch, hostname, network);
  }

  host(hostname: string): { readonly pid: number; readonly startTime: string } {
    return this.#ledger.openMember(hostname).testbed;
  }

  /** Cuts a network in two: the hosts that are named keep to themselves, until it is healed. */
  cut(network: string, hostnames: readonly string[]): Promise<void> {
    return cutNetwork(this.#ledger, this.#switch, network, hostnames);
  }

  heal(network: string): Promise<void> {
    return healNetwork(this.#ledger, this.#switch, network);
  }

  /** Ends it; its hosts have to be closed before. Resolves when its interfaces and its process are gone. */
  async close(): Promise<void> {
    if (!(this.#switch instanceof OwnSwitch)) return;
    await this.#switch.stop();
    this.#ledger.remove();
  }
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
      return await lab.network(name, [subnet ?? []].flat());
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /** A network of a laboratory that another process of the user keeps. */
  static join(laboratory: string, name = 'net', log: Log = silentLog): Network {
    const network = Laboratory.join(laboratory, log).networks().get(name);
    if (network === undefined)
      throw new UsageError(`there is no network ${name} in the laboratory ${laboratory}`, {
        code: 'NO_NETWORK',
        remedy: 'use one that it has',
      });
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
