/** The interfaces of a host: its networks, addresses and qualities of links. Pure. */
import { UsageError } from '../errors.ts';
import { type LinkQuality, parseQuality } from '../network/link.ts';
import type { InterfaceOptions } from '../network/membership.ts';
import { isHostAddress, normalAddress, parseSubnet } from '../network/subnet.ts';
import { type Fields, fields, isFields, word, words } from './fields.ts';

export interface LabNetwork {
  readonly name: string;
  readonly subnets: readonly string[];
}

export function interfacesOf(
  host: Fields,
  where: string,
  networks: readonly LabNetwork[],
): InterfaceOptions[] {
  const [only, second] = networks;
  if (host.networks === undefined) {
    if (only === undefined || second !== undefined) {
      throw new UsageError(`${where} does not name the networks that it is in, of which there are several`, {
        code: 'WRONG_LAB_FILE',
        remedy: 'give it networks',
      });
    }
    return [interfaceOf(only, host.address, host.link, where)];
  }
  if (host.address !== undefined)
    throw new UsageError(`${where} has both address and networks`, {
      code: 'WRONG_LAB_FILE',
      remedy: 'remove one',
    });
  return Object.entries(fields(host.networks, `${where}.networks`)).map(([name, value]) => {
    const network = networks.find((one) => one.name === name);
    if (network === undefined)
      throw new UsageError(`${where}.networks.${name}: there is no such network`, {
        code: 'WRONG_LAB_FILE',
        remedy: 'describe it under networks',
      });
    const place = `${where}.networks.${name}`;
    if (!isFields(value)) return interfaceOf(network, value ?? undefined, host.link, place);
    const { address, ...link } = fields(value, place, ['address', 'latency', 'loss', 'bandwidth']);
    return interfaceOf(network, address, { ...(isFields(host.link) ? host.link : {}), ...link }, place);
  });
}

function interfaceOf(network: LabNetwork, address: unknown, link: unknown, where: string): InterfaceOptions {
  const addresses = address === undefined ? undefined : words(address, where).map(normalAddress);
  const subnets = network.subnets.map(parseSubnet);
  for (const one of addresses ?? []) {
    if (!subnets.some((subnet) => isHostAddress(subnet, one))) {
      throw new UsageError(`${where}: ${one} is not an address for a host of the network ${network.name}`, {
        code: 'WRONG_LAB_FILE',
        remedy: `use one in ${network.subnets.join(' and ')}`,
      });
    }
  }
  return {
    network: network.name,
    ...(addresses === undefined ? {} : { addresses }),
    ...(link === undefined ? {} : { quality: qualityOf(link, `${where}.link`) }),
  };
}

function qualityOf(value: unknown, where: string): LinkQuality {
  const { latency, loss, bandwidth } = fields(value, where, ['latency', 'loss', 'bandwidth']);
  const optional = (one: unknown) => (one === undefined ? undefined : word(one, where));
  return parseQuality({
    latency: optional(latency),
    loss: optional(loss),
    bandwidth: optional(bandwidth),
  });
}
