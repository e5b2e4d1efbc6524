import { isIP } from 'node:net';
import { UsageError } from '../errors.ts';

interface Subnet {
  readonly version: 4 | 6;
  readonly base: bigint;
  readonly prefix: number;
}

const BITS = { 4: 32, 6: 128 } as const;

export function parseAddress(text: string): { readonly version: 4 | 6; readonly value: bigint } {
  const version = isIP(text);
  if (version === 4) {
    return { version, value: text.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n) };
  }
  if (version !== 6 || text.includes('%') || text.includes('.')) {
    throw new UsageError(`${text} is not an address`, {
      code: 'WRONG_VALUE',
      remedy: 'write it as 10.1.0.2 or fd00:1::2',
    });
  }
  const [head = '', tail] = text.split('::');
  const groups = (part: string) => part.split(':').filter((group) => group !== '');
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const all = [...front, ...Array<string>(8 - front.length - back.length).fill('0'), ...back];
  return { version, value: all.reduce((sum, group) => sum * 65536n + BigInt(`0x${group}`), 0n) };
}

/** As in RFC 5952 for IPv6: the longest run of zeros is `::`. */
export function formatAddress(version: 4 | 6, value: bigint): string {
  if (version === 4) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 65535n).toString(16));
  const runs = [...groups.join(':').matchAll(/\b0(?::0\b)+/g)].sort((a, b) => b[0].length - a[0].length);
  const text = groups.join(':');
  const [run] = runs;
  if (run === undefined) return text;
  const before = text.slice(0, run.index).replace(/:$/, '');
  const after = text.slice(run.index + run[0].length).replace(/^:/, '');
  return `${before}::${after}`;
}

/** `ADDRESS/PREFIX` with the first address of the subnet. @throws UsageError */
export function parseSubnet(text: string): Subnet {
  const [, address, bits] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const prefix = Number(bits);
  if (address === undefined)
    throw new UsageError(`${text} is not a subnet`, {
      code: 'WRONG_VALUE',
      remedy: 'write it as 10.1.0.0/24',
    });
  const { version, value } = parseAddress(address);
  if (prefix > BITS[version] - 2) {
    throw new UsageError(`${text} has no room for two hosts`, {
      code: 'WRONG_VALUE',
      remedy: 'use a smaller prefix',
    });
  }
  const size = 1n << BigInt(BITS[version] - prefix);
  if (value % size !== 0n) {
    const base = formatAddress(version, value - (value % size));
    throw new UsageError(`${text} is not a subnet: ${address} is not its first address`, {
      code: 'WRONG_VALUE',
      remedy: `write ${base}/${prefix}`,
    });
  }
  return { version, base: value, prefix };
}

export function formatSubnet({ version, base, prefix }: Subnet): string {
  return `${formatAddress(version, base)}/${prefix}`;
}

/** Neither the first address nor, in IPv4, the last one, which is for broadcast. */
export function isHostAddress(subnet: Subnet, address: string): boolean {
  const { version, value } = parseAddress(address);
  const size = 1n << BigInt(BITS[subnet.version] - subnet.prefix);
  const last = subnet.base + size - (subnet.version === 4 ? 1n : 0n);
  return version === subnet.version && value > subnet.base && value < last;
}

export function freeAddress(subnet: Subnet, taken: ReadonlySet<string>): string {
  for (let value = subnet.base + 1n; ; value += 1n) {
    const address = formatAddress(subnet.version, value);
    if (!isHostAddress(subnet, address)) {
      throw new UsageError(`the subnet ${formatSubnet(subnet)} has no free address`, {
        code: 'SUBNET_FULL',
        remedy: 'use a smaller prefix',
      });
    }
    if (!taken.has(address)) return address;
  }
}

export function normalAddress(text: string): string {
  const { version, value } = parseAddress(text);
  return formatAddress(version, value);
}
