import { bare, type Member } from '../network/membership.ts';
import { freeAddress, normalAddress, parseSubnet } from '../network/subnet.ts';
import type { LabFile } from './file.ts';

/**
 * The file with an address for each interface: that of the open host, else that of the file, else the lowest that no host of the file
 * has, in the order of the file.
 */
export function withAddresses(file: LabFile, open: readonly Pick<Member, 'hostname' | 'ports'>[]): LabFile {
  const taken = new Map(file.networks.map(({ name }) => [name, new Set<string>()]));
  const choose = (network: string): string[] => {
    const used = taken.get(network) ?? new Set();
    const subnets = file.networks.find(({ name }) => name === network)?.subnets ?? [];
    return subnets.map((subnet) => freeAddress(parseSubnet(subnet), used));
  };
  const take = (network: string, addresses: readonly string[] | undefined) => {
    for (const address of addresses ?? []) taken.get(network)?.add(normalAddress(address));
    return addresses;
  };
  const known = file.hosts.map((host) => {
    const ports = open.find(({ hostname }) => hostname === host.member.hostname)?.ports ?? [];
    const interfaces = host.member.interfaces.map((one) => {
      const there = ports.find(({ network }) => network === one.network)?.addresses.map(bare);
      return { ...one, addresses: take(one.network, there ?? one.addresses) };
    });
    return { ...host, member: { ...host.member, interfaces } };
  });
  const hosts = known.map((host) => {
    const interfaces = host.member.interfaces.map((one) => {
      const { network, addresses = choose(network) } = one;
      take(network, addresses);
      return { ...one, addresses };
    });
    return { ...host, member: { ...host.member, interfaces } };
  });
  return { ...file, hosts };
}
