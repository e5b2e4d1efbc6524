import { UsageError } from '../errors.ts';
import type { Ledger } from './ledger.ts';
import { checkQuality, type LinkQuality, queueArguments } from './link.ts';
import { portName } from './membership.ts';
import { newBridge, type Switch } from './switch.ts';

/** The link of a host in one network, or in all. */
export interface Link {
  /** Unplugs it: no packet passes. */
  down(): Promise<void>;
  /** Plugs it in, and resolves when it carries packets. */
  up(): Promise<void>;
  /** Sets latency, loss and bandwidth; `{}` removes all limits. @throws {@link UsageError} for a wrong value, or when the kernel cannot do it */
  shape(quality: LinkQuality): Promise<void>;
}

export function linkOf(ledger: Ledger, theSwitch: Switch, hostname: string, network?: string): Link {
  const { pid, ports } = plugged(ledger, hostname, network);
  if (ports.length === 0)
    throw new UsageError(`the host ${hostname} is not in the network ${network}`, {
      code: 'NO_NETWORK',
      remedy: 'name a network that it is in',
    });
  const set = (state: 'up' | 'down') =>
    theSwitch.ip(
      ports.map(({ name }) => `link set ${name} ${state}`),
      `taking the link of ${hostname} ${state}`,
    );
  return {
    down: () => set('down'),
    up: async () => {
      await set('up');
      await theSwitch.carrying(ports.map(({ name }) => name));
      await theSwitch.carrying(
        ports.map(({ inside }) => inside),
        pid,
      );
    },
    shape: async (quality) => {
      checkQuality(quality);
      const words = queueArguments(quality);
      for (const { name, inside } of ports) {
        await theSwitch.queue(name, words);
        await theSwitch.queue(inside, words, pid);
      }
    },
  };
}

export async function cutNetwork(
  ledger: Ledger,
  theSwitch: Switch,
  network: string,
  hostnames: readonly string[],
): Promise<void> {
  const aside = asideOf(ledger.network(network).bridge);
  const present = (await theSwitch.ports()).some(({ name }) => name === aside);
  const lines = hostnames.flatMap((hostname) =>
    plugged(ledger, hostname, network).ports.map(({ name }) => `link set ${name} master ${aside}`),
  );
  await theSwitch.ip([...(present ? [] : newBridge(aside)), ...lines], `cutting the network ${network}`);
}

export async function healNetwork(ledger: Ledger, theSwitch: Switch, network: string): Promise<void> {
  const { bridge } = ledger.network(network);
  const aside = asideOf(bridge);
  const ports = (await theSwitch.ports()).filter((port) => port.bridge === aside);
  const lines = ports.map(({ name }) => `link set ${name} master ${bridge}`);
  await theSwitch.ip(lines, `healing the network ${network}`);
  await theSwitch.delete([aside]);
}

function asideOf(bridge: string): string {
  return `c${bridge.slice(1)}`;
}

function plugged(ledger: Ledger, hostname: string, network: string | undefined) {
  const { member, testbed } = ledger.openMember(hostname);
  const ports = member.ports
    .map(({ network: of, inside }, index) => ({ of, inside, name: portName(testbed.pid, index) }))
    .filter(({ of }) => network === undefined || of === network);
  return { pid: testbed.pid, ports };
}
