/** How an open host of a laboratory is plugged in: its cables, addresses, routes and outside access, and their end. */
import type { Log } from '../log.ts';
import type { Holder } from '../namespaces/holder.ts';
import { nameOf } from '../processes/identity.ts';
import type { Connection, Connector } from './connector.ts';
import type { Ledger } from './ledger.ts';
import { type LinkQuality, queueArguments } from './link.ts';
import { hardwareAddress, type Member, type MemberOptions, type Port, portName } from './membership.ts';
import { normalAddress } from './subnet.ts';
import type { Switch } from './switch.ts';
import { updateHosts } from './update-hosts.ts';

/** Where a host is plugged in. */
export interface Place {
  readonly ledger: Ledger;
  readonly theSwitch: Switch;
  readonly log: Log;
}

interface Cable extends Port {
  /** Name of its end in the switch. */
  readonly name: string;
  readonly bridge: string;
  readonly quality: LinkQuality;
}

/**
 * @param pid pid 1 of the host, started in the holder
 * @param outside gives the host outside access
 * @throws UsageError when the kernel cannot do what the options ask for, TestbedError; nothing is plugged in then
 */
export async function plugIn(
  { ledger, theSwitch, log }: Place,
  holder: Holder,
  pid: number,
  member: Member,
  options: MemberOptions,
  outside: Connector | undefined,
): Promise<Connection> {
  const cables = member.ports.map(
    (port, index): Cable => ({
      ...port,
      name: portName(pid, index),
      bridge: ledger.network(port.network).bridge,
      quality: options.interfaces[index]?.quality ?? {},
    }),
  );
  let beyond: Connection | undefined;
  const end = async () => {
    await Promise.all([theSwitch.delete(cables.map(({ name }) => name)), beyond?.end()]);
  };
  try {
    await lay(theSwitch, cables, pid, options);
    if (options.forward === true) await theSwitch.forward(pid);
    beyond = await outside?.connect?.(holder, pid);
    ledger.update({ ...member, testbed: nameOf(pid) });
    await updateHosts(ledger, log);
  } catch (error) {
    await end();
    throw error;
  }
  return {
    end: async () => {
      // A laboratory that was closed before its hosts has removed the claims and all links.
      if (theSwitch.alive) ledger.update(member);
      await end();
    },
  };
}

/** From the switch's bridges to the host's interfaces, with addresses, routes and the quality of each. */
async function lay(
  theSwitch: Switch,
  cables: readonly Cable[],
  pid: number,
  { hostname, routes = [] }: MemberOptions,
): Promise<void> {
  await theSwitch.ip(
    cables.flatMap(({ name, bridge, inside, network }) => [
      `link add ${name} type veth peer name ${inside} address ${hardwareAddress(network, hostname)} netns ${pid}`,
      `link set ${name} master ${bridge} up`,
    ]),
    `plugging ${hostname} in`,
  );
  await theSwitch.ip(
    [
      ...cables.flatMap(({ inside, addresses }) => [
        // The claims exclude duplicates; looking for one would leave the address unusable for a second.
        ...addresses.map((one) => `address add ${one} dev ${inside}${one.includes(':') ? ' nodad' : ''}`),
        `link set ${inside} up`,
      ]),
      ...routes.map(({ to, via }) => `route add ${to} via ${normalAddress(via)}`),
    ],
    `giving ${hostname} its addresses`,
    pid,
  );
  for (const { name, inside, quality } of cables) {
    const words = queueArguments(quality);
    if (words === undefined) continue;
    await theSwitch.queue(name, words);
    await theSwitch.queue(inside, words, pid);
  }
}
