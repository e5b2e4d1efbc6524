import { helperWords } from '../helper.ts';
import { briefWords, quickHost } from '../host.ts';
import type { Log } from '../log.ts';
import { readMark } from '../namespaces/mark.ts';
import { isAlive } from '../processes/identity.ts';
import { hostsFile } from './hosts.ts';
import type { Ledger } from './ledger.ts';
import type { Member } from './membership.ts';

/** Milliseconds. In a host that is stopped, or whose /etc/hosts is a FIFO, it is not written at all. */
const WRITE_LIMIT = 10_000;

/** By a command inside, because /etc/hosts may be a link there. */
export async function updateHosts(ledger: Ledger, log: Log, limit = WRITE_LIMIT): Promise<void> {
  const signal = AbortSignal.timeout(limit);
  for (let isFirst = true; ; isFirst = false) {
    const hosts = ledger.hostLines();
    await Promise.all(
      ledger.members().map(async (member) => {
        if (!isFirst || member.hosts !== hosts) await updateHost(ledger, member, { hosts, log, signal });
      }),
    );
    // A host that was declared meanwhile has written the new list, perhaps before this one was written.
    if (signal.aborted || ledger.hostLines() === hosts) return;
  }
}

interface Update {
  readonly hosts: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

async function updateHost(
  ledger: Ledger,
  { testbed, hostname }: Member,
  { hosts, log, signal }: Update,
): Promise<void> {
  if (testbed === undefined || !isAlive(testbed)) return;
  const { status, stderr } = await quickHost(
    [
      ...helperWords('exec', '-p', String(testbed.pid), '-m', readMark(testbed), '-n', '--'),
      ...['/bin/sh', '-c', 'printf %s "$1" >/etc/hosts', 'sh', hostsFile(hosts)],
    ],
    log,
    { signal },
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
