import { createHash } from 'node:crypto';
import { type Claim, isRecord } from '../processes/claims.ts';
import { isProcessName, type ProcessName } from '../processes/identity.ts';
import type { LinkQuality } from './link.ts';

export interface InterfaceOptions {
  /** Name of a network of the laboratory. */
  readonly network: string;
  /** At most one per subnet of the network. Default: the lowest free one of each. */
  readonly addresses?: readonly string[];
  /** Default: nothing is delayed, lost or limited. */
  readonly quality?: LinkQuality;
}

export interface Route {
  /** `default`, or ADDRESS/PREFIX. */
  readonly to: string;
  readonly via: string;
}

export interface MemberOptions {
  readonly hostname: string;
  /** They become eth0, eth1, … inside. */
  readonly interfaces: readonly InterfaceOptions[];
  /** Addresses for /etc/resolv.conf. Default: none, or with outside access the host's own resolvers. */
  readonly dns?: readonly string[];
  /** Domains for names without a dot. */
  readonly search?: readonly string[];
  readonly routes?: readonly Route[];
  /** Forward packets between the interfaces. */
  readonly forward?: boolean;
  /** Outside access, by one more interface `outside`. */
  readonly outside?: boolean;
  /** Ports of the host that lead here, see publish.ts; needs outside access. */
  readonly publish?: readonly string[];
}

export interface Port {
  readonly network: string;
  readonly inside: string;
  readonly addresses: readonly string[];
}

export interface Member extends Claim {
  readonly hostname: string;
  readonly ports: readonly Port[];
  readonly testbed?: ProcessName;
  readonly hosts: string;
}

/** Name of the switch's end of a link, unique among all hosts. */
export function portName(testbed: number, index: number): string {
  return `p${testbed}n${index}`;
}

/** The same after a revert, so that neighbours need not learn it again. Locally administered, unicast. */
export function hardwareAddress(network: string, hostname: string): string {
  const digest = createHash('sha256').update(`${network} ${hostname}`).digest();
  return ['02', ...[...digest.subarray(0, 5)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}

export function bare(address: string): string {
  return address.replace(/\/.*/, '');
}

function isPort(value: unknown): value is Port {
  return (
    isRecord(value) &&
    typeof value.network === 'string' &&
    typeof value.inside === 'string' &&
    Array.isArray(value.addresses) &&
    value.addresses.every((address) => typeof address === 'string')
  );
}

export function isMember(value: unknown): value is Member {
  return (
    isRecord(value) &&
    isProcessName(value.owner) &&
    typeof value.hostname === 'string' &&
    Array.isArray(value.ports) &&
    value.ports.every(isPort) &&
    (value.testbed === undefined || isProcessName(value.testbed)) &&
    typeof value.hosts === 'string'
  );
}
