/** What /etc/resolv.conf says in a testbed. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { MemberOptions } from './membership.ts';
import { normalAddress } from './subnet.ts';

/** Where a private network takes name queries for the host's own resolver: addresses that no network hands out. */
export const FORWARD = { 4: '169.254.1.1', 6: 'fd53:53::53' } as const;

export interface Resolver {
  /** Text for /etc/resolv.conf. */
  readonly text: string;
  /** The addresses of `FORWARD` that it names, whose queries have to be taken to the host's resolver. */
  readonly forward: readonly string[];
}

/**
 * The host's resolv.conf(5), made fit for a network of the testbed's own: a resolver at an address of the host's own
 * (systemd-resolved's 127.0.0.53, a dnsmasq) cannot be reached from there, so it is replaced by one of `FORWARD`.
 * @param own addresses of the host's interfaces
 */
export function privateResolver(hostText: string, own: ReadonlySet<string>): Resolver {
  const forward = new Set<string>();
  const lines = hostText.split('\n').flatMap((line) => {
    const address = /^nameserver\s+(\S+)/.exec(line)?.[1];
    if (address === undefined) return line === '' || line.startsWith('#') ? [] : [line];
    const version = isIP(address.replace(/%.*/, ''));
    if (version === 0) return [];
    if (!isLoopback(address) && !own.has(address)) return [line];
    const stand = version === 4 ? FORWARD[4] : FORWARD[6];
    if (forward.has(stand)) return [];
    forward.add(stand);
    return [`nameserver ${stand}`];
  });
  return { text: lines.map((line) => `${line}\n`).join(''), forward: [...forward] };
}

/**
 * For a host of a laboratory: the resolvers that it names, or with none those of its outside access.
 * @param outside the text for outside access; empty without
 * @throws UsageError when one is no address
 */
export function memberResolver(
  { dns, search = [] }: Pick<MemberOptions, 'dns' | 'search'>,
  outside: string,
): string {
  if (dns === undefined) return outside;
  return [
    ...(search.length > 0 ? [`search ${search.join(' ')}`] : []),
    ...dns.map((address) => `nameserver ${normalAddress(address)}`),
    '',
  ].join('\n');
}

export function isLoopback(address: string): boolean {
  return /^(127\.|::1$|::ffff:127\.)/.test(address);
}

/** The text of the host's own resolv.conf(5). */
export function hostResolver(): string {
  try {
    return readFileSync('/etc/resolv.conf', 'utf8');
  } catch {
    // A host that resolves no names has a testbed that does not either.
    return '';
  }
}
