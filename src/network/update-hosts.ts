import { helperWords } from '../helper.ts';
import { briefWords, quickHost } from '../host.ts';
import type { Log } from '../log.ts';
import { readMark } from '../namespaces/mark.ts';
import { isAlive } from '../processes/identity.ts';
import { hostsFile } from './hosts.ts';
import type { Ledger } from './ledger.ts';
import type { Member } from './membership.ts';

/** By a command inside, because /etc/hosts may be a link there. */
export async function updateHosts(ledger: Ledger, log: Log): Promise<void> {
  const hosts = ledger.hostLines();
  await Promise.all(
    ledger.members().map(async (member) => {
      if (member.hosts !== hosts) await updateHost(ledger, member, hosts, log);
    }),
  );
}

async function updateHost(
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
    if (isAlive(testbed))
      log.warn(
        `cannot write /etc/hosts of the host ${hostname}, which then lacks names: ${briefWords(stderr) || `exit status ${status}`}`,
      );
    return;
  }
  const now = ledger.member(hostname);
  if (now?.testbed?.startTime === testbed.startTime && now.testbed.pid === testbed.pid) {
    ledger.update({ ...now, hosts });
  }
}
