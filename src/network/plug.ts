/** How an open host of a laboratory gets its links, addresses, routes and outside access, and how they end. */
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { nameOf } from '../processes/identity.ts';
import type { Connection } from './connector.ts';
import type { Ledger } from './ledger.ts';
import { type LinkQuality, queueArguments } from './link.ts';
import { hardwareAddress, type Member, type MemberOptions, type Port, portName } from './membership.ts';
import { normalAddress } from './subnet.ts';
import type { Switch } from './switch.ts';
import { updateHosts } from './update-hosts.ts';

export interface Place {
  readonly ledger: Ledger;
  readonly theSwitch: Switch;
  readonly log: Log;
}

interface Cable extends Port {
  readonly name: string;
  readonly bridge: string;
  readonly quality: LinkQuality;
}

/** @throws UsageError when the kernel cannot do what the options ask for, TestbedError; nothing is connected then */
export async function plugIn(
  { ledger, theSwitch, log }: Place,
  pid: number,
  member: Member,
  options: MemberOptions,
  goOutside: () => Promise<Connection> | undefined,
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
    beyond = await goOutside();
    ledger.update({ ...member, testbed: nameOf(pid) });
    await updateHosts(ledger, log);
  } catch (error) {
    // Only a consequence of the error.
    await end().catch((left: unknown) => log.warn(messageOf(left)));
    throw error;
  }
  return {
    end: async () => {
      // A laboratory that was closed before its hosts has removed the claims and links.
      if (theSwitch.alive) ledger.update(member);
      await end();
    },
  };
}

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
        // The claims exclude duplicates; a found duplicate would disable the second address.
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
