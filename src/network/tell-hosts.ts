/** Brings the names of a laboratory's hosts to those that are open already. */
import { helperWords } from '../helper.ts';
import { quickHost } from '../host.ts';
import type { Log } from '../log.ts';
import { readMark } from '../namespaces/mark.ts';
import { isAlive } from '../processes/identity.ts';
import { hostsFile } from './hosts.ts';
import type { Ledger } from './ledger.ts';
import type { Member } from './membership.ts';

/** Brings /etc/hosts of all open hosts up to date, by a command inside: what is at that path is the testbed's matter. */
export async function tellHosts(ledger: Ledger, log: Log): Promise<void> {
  const hosts = ledger.hostLines();
  await Promise.all(
    ledger.members().map(async (member) => {
      if (member.hosts !== hosts) await tellHost(ledger, member, hosts, log);
    }),
  );
}

async function tellHost(
  ledger: Ledger,
  { testbed, hostname }: Member,
  hosts: string,
  log: Log,
): Promise<void> {
  if (testbed === undefined || !isAlive(testbed)) return;
  const { status, stderr } = await quickHost(
    [
      ...helperWords('exec', '-p', String(testbed.pid), '-m', readMark(testbed), '-n', '--'),
      ...['/bin/sh', '-c', 'printf %s "$1" >/etc/hosts', 'sh', hostsFile(hosts)],
    ],
    log,
  );
  if (status !== 0) {
    // One that ends meanwhile needs no names; one that refuses them is no reason to keep others from opening.
    if (isAlive(testbed))
      log.warn(
        `cannot write /etc/hosts of the host ${hostname}, which will not know all names: ${stderr.trim()}`,
      );
    return;
  }
  const now = ledger.member(hostname);
  if (now?.testbed?.startTime === testbed.startTime && now.testbed.pid === testbed.pid) {
    ledger.update({ ...now, hosts });
  }
}
