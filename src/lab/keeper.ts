/** The process that keeps a laboratory open until its end. */
import { messageOf, TestbedError } from '../errors.ts';
import { startEvents } from '../events/program.ts';
import type { OnEvent } from '../events/types.ts';
import type { Log } from '../log.ts';
import { Laboratory } from '../network/laboratory.ts';
import { Provider } from '../testbed/provider.ts';
import type { OpenTestbed } from '../testbed/types.ts';
import { withAddresses } from './addresses.ts';
import type { LabFile, LabHost } from './file.ts';

/** Seconds. */
const COMMAND_LIMIT = 600;

/** $1 is the shell command, $2 the file for its output. */
const DAEMON = 'mkdir -p /var/log; /bin/sh -c "$1" </dev/null >"$2" 2>&1 &';

interface KeepOptions {
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly eventFile: string | undefined;
}

/** @throws UsageError, TestbedError; nothing is left then */
export async function keepLab(
  file: LabFile,
  { log, signal, eventFile }: KeepOptions,
  ready: () => void,
): Promise<void> {
  const events = eventFile === undefined ? undefined : startEvents(eventFile, 'lab up', log);
  try {
    await keep(file, { log, signal, onEvent: events?.onEvent }, ready);
  } finally {
    events?.end();
  }
}

async function keep(
  file: LabFile,
  { log, signal, onEvent }: Pick<KeepOptions, 'log' | 'signal'> & { readonly onEvent: OnEvent | undefined },
  ready: () => void,
): Promise<void> {
  const laboratory = await Laboratory.create({ name: file.name }, log);
  const providers: Provider[] = [];
  try {
    for (const { name, subnets } of file.networks) await laboratory.network(name, subnets);
    // Declared before one is opened, so that each /etc/hosts has them all.
    for (const host of withAddresses(file, []).hosts) {
      const network = laboratory.member(host.member);
      providers.push(new Provider({ ...optionsOf(host, network), onEvent }, log));
    }
    const opened = await openAll(providers, signal);
    for (const [index, host] of file.hosts.entries()) {
      const testbed = opened[index];
      if (testbed !== undefined) await setUp(host, testbed, signal);
    }
    ready();
    await aborted(signal);
  } finally {
    const ends = await Promise.allSettled(providers.map((provider) => provider.dispose()));
    for (const end of ends) if (end.status === 'rejected') log.warn(messageOf(end.reason));
    await laboratory.close();
  }
}

function optionsOf(host: LabHost, network: ReturnType<Laboratory['member']>) {
  return {
    root: host.root,
    binds: host.binds,
    scratch: { kind: 'auto' },
    mode: 'overlay',
    init: host.init,
    hostname: host.member.hostname,
    network,
    publish: [],
    drainTimeout: 10,
    copyTimeout: 300,
    maxProcesses: host.maxProcesses,
    maxMemory: host.maxMemory,
  } as const;
}

/** Rejects only when none is still being opened. @throws the first failure, or the reason of the abort */
async function openAll(providers: readonly Provider[], signal: AbortSignal): Promise<OpenTestbed[]> {
  signal.throwIfAborted();
  const stop = () => void Promise.allSettled(providers.map((provider) => provider.dispose()));
  signal.addEventListener('abort', stop, { once: true });
  const settled = await Promise.allSettled(providers.map((provider) => provider.open()));
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
  return settled.map((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  });
}

async function setUp(
  { member, commands, daemons }: LabHost,
  testbed: OpenTestbed,
  signal: AbortSignal,
): Promise<void> {
  for (const command of commands) {
    const { status } = await testbed.run(['/bin/sh', '-c', command], { timeout: COMMAND_LIMIT, signal });
    if (status !== 0) {
      throw new TestbedError(
        `the command "${command}" of the host ${member.hostname} ended with status ${status}`,
        { code: 'COMMAND_FAILED', remedy: 'correct it in the lab file' },
      );
    }
  }
  for (const [index, command] of daemons.entries()) {
    await testbed.run(['/bin/sh', '-c', DAEMON, 'daemon', command, `/var/log/lab-daemon-${index}.log`]);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const stay = setInterval(() => {}, 1 << 30);
    signal.addEventListener('abort', () => {
      clearInterval(stay);
      resolve();
    });
  });
}
