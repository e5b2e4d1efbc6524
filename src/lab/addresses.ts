import { bare, type Member } from '../network/membership.ts';
import { freeAddress, normalAddress, parseSubnet } from '../network/subnet.ts';
import type { LabFile } from './file.ts';

/**
 * The file with an address for each interface: those that the open hosts have, else those that `lab up` would choose, in the order
 * of the file.
 */
export function withAddresses(file: LabFile, open: readonly Pick<Member, 'hostname' | 'ports'>[]): LabFile {
  const taken = new Map(file.networks.map(({ name }) => [name, new Set<string>()]));
  const choose = (network: string): string[] => {
    const used = taken.get(network) ?? new Set();
    const subnets = file.networks.find(({ name }) => name === network)?.subnets ?? [];
    return subnets.map((subnet) => freeAddress(parseSubnet(subnet), used));
  };
  const hosts = file.hosts.map((host) => {
    const ports = open.find(({ hostname }) => hostname === host.member.hostname)?.ports ?? [];
    const interfaces = host.member.interfaces.map((one) => {
      const { network } = one;
      const there = ports.find((port) => port.network === network)?.addresses.map(bare);
      const addresses = there ?? one.addresses ?? choose(network);
      for (const address of addresses) taken.get(network)?.add(normalAddress(address));
      return { ...one, addresses };
    });
    return { ...host, member: { ...host.member, interfaces } };
  });
  return { ...file, hosts };
}
