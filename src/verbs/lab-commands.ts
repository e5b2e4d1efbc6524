/** What `virt-ts-unshare lab` can do, by the names of its commands. */
import { TestbedError, UsageError } from '../errors.ts';
import { type Argv, spawnHost } from '../host.ts';
import type { LabFile } from '../lab/file.ts';
import { dotGraph, svgGraph } from '../lab/graph.ts';
import { keepLab } from '../lab/keeper.ts';
import type { Log } from '../log.ts';
import { firstLine } from '../namespaces/lifeline.ts';
import { Laboratory } from '../network/laboratory.ts';
import { parseQuality } from '../network/link.ts';
import { isAlive } from '../processes/identity.ts';
import { signalProcess } from '../processes/list.ts';
import { waitUntil } from '../wait.ts';
import { enterTestbed } from './enter.ts';
import { showTable } from './figures.ts';
import type { Interrupts } from './verb.ts';

export interface LabCall {
  /** Of the file, as it was given. */
  readonly path: string;
  readonly file: LabFile;
  /** Behind the file. */
  readonly words: readonly string[];
  readonly values: LabOptions;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly interrupts: Interrupts;
}

/** See the usage text. */
export interface LabOptions {
  readonly foreground?: boolean | undefined;
  readonly json?: boolean | undefined;
  readonly dot?: boolean | undefined;
  readonly debug?: boolean | undefined;
  readonly network?: string | undefined;
  readonly user?: string | undefined;
  readonly name?: string | undefined;
}

/** Each gives the exit status. @throws UsageError, TestbedError */
export const LAB_COMMANDS: Readonly<
  Record<string, { readonly takesWords: boolean; readonly run: (call: LabCall) => Promise<number> }>
> = {
  up: { takesWords: false, run: up },
  ps: { takesWords: false, run: ps },
  exec: { takesWords: true, run: exec },
  link: { takesWords: true, run: link },
  cut: { takesWords: true, run: cut },
  heal: { takesWords: false, run: heal },
  down: { takesWords: false, run: down },
  graph: { takesWords: false, run: graph },
};

/** Milliseconds for a laboratory to end. */
const DOWN_LIMIT = 60_000;

async function up({ path, file, values, log, signal }: LabCall): Promise<number> {
  const ready = () => {
    process.stdout.write(`${file.name} is up\n`);
  };
  if (values.foreground === true) {
    await keepLab(file, log, signal, ready);
    return 0;
  }
  // The keeper is this program once more, which stays; its stderr is ours until all stands.
  const [program] = process.argv.slice(1);
  const argv: Argv = [
    process.execPath,
    ...process.execArgv,
    ...[program ?? '', 'lab', 'up', '--foreground', path],
    ...(values.name === undefined ? [] : ['--name', values.name]),
    ...(values.debug === true ? ['--debug'] : []),
  ];
  const keeper = await spawnHost(argv, log, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  keeper.child.stderr?.on('data', (chunk: Buffer) => process.stderr.write(chunk));
  const stop = () => keeper.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  const line = await firstLine(keeper.child.stdout);
  signal.removeEventListener('abort', stop);
  if (line !== `${file.name} is up`) {
    const { status } = await keeper.exited;
    return status === 0 ? 1 : status;
  }
  keeper.child.stderr?.destroy();
  keeper.child.unref();
  process.stdout.write(showHosts(file));
  return 0;
}

async function ps({ file, values }: LabCall): Promise<number> {
  process.stdout.write(
    values.json === true ? `${JSON.stringify(hosts(file), undefined, 2)}\n` : showHosts(file),
  );
  return 0;
}

interface HostState {
  readonly host: string;
  readonly addresses: readonly string[];
  readonly state: 'open' | 'closed';
  /** Of its pid 1 on this machine. */
  readonly pid: number | undefined;
}

function hosts(file: LabFile): HostState[] {
  return Laboratory.join(file.name)
    .members()
    .map(({ hostname, ports, testbed }) => {
      const open = testbed !== undefined && isAlive(testbed);
      return {
        host: hostname,
        addresses: ports.flatMap(({ addresses }) => addresses),
        state: open ? 'open' : 'closed',
        pid: open ? testbed.pid : undefined,
      };
    });
}

function showHosts(file: LabFile): string {
  const rows = hosts(file).map(({ host, addresses, state, pid }) => [
    ...[host, state, String(pid ?? '-'), addresses.join(' ')],
  ]);
  return showTable(['HOST', 'STATE', 'PID', 'ADDRESSES'], rows);
}

async function exec({ file, words, values, log, signal, interrupts }: LabCall): Promise<number> {
  const [hostname, program, ...args] = words;
  if (hostname === undefined) throw new UsageError('lab exec needs a host; see lab --help');
  const testbed = { ...Laboratory.join(file.name, log).host(hostname), ownNetwork: true };
  const place = values.user === undefined ? {} : { user: values.user };
  const command: Argv | undefined = program === undefined ? undefined : [program, ...args];
  return enterTestbed(testbed, place, command, { log, signal, interrupts });
}

async function link({ file, words, values, log }: LabCall): Promise<number> {
  const [hostname, ...rest] = words;
  if (hostname === undefined) throw new UsageError('lab link needs a host; see lab --help');
  const one = Laboratory.join(file.name, log).link(hostname, values.network);
  const [state] = rest;
  if (state === 'up' || state === 'down') await one[state]();
  else await one.shape(qualityOf(rest));
  return 0;
}

function qualityOf(words: readonly string[]) {
  const pairs = words.map((word) => {
    const [, name, value] = /^(latency|loss|bandwidth)=(.+)$/.exec(word) ?? [];
    if (name === undefined) {
      throw new UsageError(`a link is not ${word}; give up, down, latency=20ms, loss=1% or bandwidth=10mbit`);
    }
    return [name, value] as const;
  });
  return parseQuality(Object.fromEntries(pairs));
}

async function cut({ file, words, values, log }: LabCall): Promise<number> {
  if (words.length === 0) throw new UsageError('lab cut needs hosts; see lab --help');
  await Laboratory.join(file.name, log).cut(networkOf(file, values), words);
  return 0;
}

async function heal({ file, values, log }: LabCall): Promise<number> {
  await Laboratory.join(file.name, log).heal(networkOf(file, values));
  return 0;
}

function networkOf(file: LabFile, values: LabOptions): string {
  const [only, second] = file.networks;
  if (values.network !== undefined) return values.network;
  if (only === undefined || second !== undefined) {
    const names = file.networks.map(({ name }) => name).join(', ');
    throw new UsageError(`there are several networks; give --network with one of ${names}`);
  }
  return only.name;
}

async function down({ file, log }: LabCall): Promise<number> {
  const laboratory = Laboratory.join(file.name, log);
  const left = laboratory.members().flatMap(({ testbed }) => testbed ?? []);
  signalProcess(laboratory.keeper.pid, 'SIGTERM');
  const gone = () => !isAlive(laboratory.keeper) && left.every((one) => !isAlive(one));
  if (!(await waitUntil(gone, DOWN_LIMIT))) {
    throw new TestbedError(
      `${file.name} does not end within ${DOWN_LIMIT / 1000} s; end the process ${laboratory.keeper.pid} by hand`,
    );
  }
  return 0;
}

async function graph({ file, values }: LabCall): Promise<number> {
  process.stdout.write(values.dot === true ? dotGraph(file) : svgGraph(file));
  return 0;
}
