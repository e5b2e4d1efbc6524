import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { MemberOptions } from './membership.ts';
import { normalAddress } from './subnet.ts';

/** Addresses, never assigned by a network, whose name queries are passed to the host's resolver. */
export const FORWARD = { 4: '169.254.1.1', 6: 'fd53:53::53' } as const;

interface Resolver {
  readonly text: string;
  readonly forward: readonly string[];
}

/**
 * The host's resolv.conf(5) for a private network. A resolver at an address of the host itself (systemd-resolved, dnsmasq)
 * cannot be reached from there, so `FORWARD` replaces it.
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

/** The resolvers that a host of a laboratory names, else those of its outside access (`outside`; empty without). */
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

function isLoopback(address: string): boolean {
  return /^(127\.|::1$|::ffff:127\.)/.test(address);
}

export function hostResolver(): string {
  try {
    return readFileSync('/etc/resolv.conf', 'utf8');
  } catch {
    return '';
  }
}
