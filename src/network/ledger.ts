/** The networks, hosts and addresses of a laboratory, each claimed by a process of the user. Files only. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../errors.ts';
import { type Claim, Claims, isRecord } from '../processes/claims.ts';
import { isAlive, isProcessName, type ProcessName, thisProcess } from '../processes/identity.ts';
import { runtimeFolder } from '../processes/runtime-folder.ts';
import { hostLines } from './hosts.ts';
import { bare, type InterfaceOptions, isMember, type Member, type Port } from './membership.ts';
import { formatSubnet, freeAddress, isHostAddress, normalAddress, parseSubnet } from './subnet.ts';

interface LaboratoryClaim extends Claim {
  readonly keeper: ProcessName;
}

interface NetworkClaim extends Claim {
  readonly subnets: readonly string[];
  readonly bridge: string;
}

export interface Declared {
  readonly member: Member;
  readonly release: () => void;
}

function laboratories(): Claims {
  return new Claims(join(runtimeFolder(process.env), 'laboratories'));
}

/** In a directory with a name that no claim has: a claim ends with .json. */
function folderOf(all: Claims, name: string): string {
  return join(all.path, `${name}.lab`);
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

export class Ledger {
  readonly name: string;
  readonly claim: LaboratoryClaim;
  readonly #folder: string;
  readonly #networks: Claims;
  readonly #members: Claims;
  readonly #addresses: Claims;

  private constructor(name: string, claim: LaboratoryClaim, folder: string) {
    this.name = name;
    this.claim = claim;
    this.#folder = folder;
    this.#networks = new Claims(join(folder, 'networks'));
    this.#members = new Claims(join(folder, 'members'));
    this.#addresses = new Claims(join(folder, 'addresses'));
  }

  /** Removes ended laboratories. @throws UsageError when the directory is not private */
  static sweep(): void {
    const all = laboratories();
    all.sweep((name) => rmSync(folderOf(all, name), { recursive: true, force: true }));
  }

  static enter(name: string, claim: LaboratoryClaim): Ledger {
    const all = laboratories();
    if (!all.claim(name, claim)) {
      throw new UsageError(`a laboratory ${name} is up already`, {
        code: 'NAME_TAKEN',
        remedy: 'end it, or use another name',
      });
    }
    const folder = folderOf(all, name);
    rmSync(folder, { recursive: true, force: true });
    return new Ledger(name, claim, folder);
  }

  static find(name: string): Ledger {
    const all = laboratories();
    const claim = all.read(name);
    if (!isLaboratoryClaim(claim)) {
      throw new UsageError(`no laboratory ${name} is up`, {
        code: 'NO_LABORATORY',
        remedy: 'start it with lab up, or Laboratory.create',
      });
    }
    return new Ledger(name, claim, folderOf(all, name));
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
    laboratories().remove(this.name);
  }

  /** @throws UsageError when the laboratory was closed, or swept away because its keeper has ended */
  #open(claims: Claims): Claims {
    if (existsSync(claims.path)) return claims;
    throw new UsageError(`the laboratory ${this.name} is closed`, {
      code: 'NO_LABORATORY',
      remedy: 'make another one',
    });
  }

  enterNetwork(name: string, claim: NetworkClaim): void {
    if (!this.#open(this.#networks).claim(name, claim))
      throw new UsageError(`the laboratory ${this.name} has a network ${name} already`, {
        code: 'NAME_TAKEN',
        remedy: 'use another name',
      });
  }

  network(name: string): NetworkClaim {
    const claim = this.#open(this.#networks).read(name);
    if (!isNetworkClaim(claim)) {
      throw new UsageError(`there is no network ${name} in the laboratory ${this.name}`, {
        code: 'NO_NETWORK',
        remedy: 'add it first',
      });
    }
    return claim;
  }

  networks(): ReadonlyMap<string, NetworkClaim> {
    return new Map(
      this.#open(this.#networks)
        .names()
        .map((name) => [name, this.network(name)]),
    );
  }

  /** Claims a host's name and addresses. @throws UsageError when one is taken or does not fit; nothing is claimed then */
  declare(hostname: string, interfaces: readonly InterfaceOptions[]): Declared {
    const empty: Member = { owner: thisProcess(), hostname, ports: [], hosts: '' };
    if (!this.#open(this.#members).claim(hostname, empty)) {
      throw new UsageError(`the laboratory ${this.name} has a host ${hostname} already`, {
        code: 'NAME_TAKEN',
        remedy: 'use another name',
      });
    }
    const claimed: string[] = [];
    let released = false;
    const release = () => {
      if (released) return;
      released = true;
      for (const key of claimed) this.#addresses.remove(key);
      this.#members.remove(hostname);
    };
    try {
      const ports = interfaces.map(
        ({ network, addresses }, index): Port => ({
          network,
          inside: `eth${index}`,
          addresses: this.#claimAddresses(network, addresses, claimed),
        }),
      );
      const member = { ...empty, ports };
      this.update(member);
      return { member, release };
    } catch (error) {
      release();
      throw error;
    }
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
    const subnets = this.network(network).subnets.map(parseSubnet);
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
        throw new UsageError(`${address} is not an address for a host of the network ${network}`, {
          code: 'WRONG_VALUE',
          remedy: `use one in ${known}`,
        });
      }
      if (!claim(address))
        throw new UsageError(`the address ${address} of the network ${network} is taken`, {
          code: 'ADDRESS_TAKEN',
          remedy: 'use another',
        });
      return `${address}/${subnet.prefix}`;
    });
  }

  update(member: Member): void {
    this.#members.update(member.hostname, member);
  }

  member(hostname: string): Member | undefined {
    const member = this.#members.read(hostname);
    return isMember(member) ? member : undefined;
  }

  members(): Member[] {
    return this.#open(this.#members)
      .names()
      .flatMap((name) => this.member(name) ?? []);
  }

  /** @throws UsageError when the host is not open */
  openMember(hostname: string): { readonly member: Member; readonly testbed: ProcessName } {
    const member = this.member(hostname);
    if (member === undefined) {
      const known = this.members().map((one) => one.hostname);
      throw new UsageError(`there is no host ${hostname} in the laboratory ${this.name}`, {
        code: 'NO_HOST',
        remedy: known.length === 0 ? 'open it first' : `name one of ${known.join(', ')}`,
      });
    }
    const { testbed } = member;
    if (testbed === undefined || !isAlive(testbed)) {
      throw new UsageError(`the host ${hostname} of the laboratory ${this.name} is not open`, {
        code: 'HOST_NOT_OPEN',
        remedy: 'open it first',
      });
    }
    return { member, testbed };
  }

  hostLines(): string {
    return hostLines(
      this.members().flatMap(({ hostname, ports }) =>
        ports.flatMap(({ addresses }) =>
          addresses.map((address) => ({ address: bare(address), name: hostname })),
        ),
      ),
    );
  }
}
