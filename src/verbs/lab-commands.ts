import type { Words } from '../command-line/given.ts';
import { eventsOf } from '../command-line/testbed-options.ts';
import { TestbedError, UsageError } from '../errors.ts';
import { type Argv, firstLine, spawnHost } from '../host.ts';
import { withAddresses } from '../lab/addresses.ts';
import type { LabFile } from '../lab/file.ts';
import { dotGraph, svgGraph } from '../lab/graph.ts';
import { keepLab } from '../lab/keeper.ts';
import type { Log } from '../log.ts';
import { Laboratory } from '../network/laboratory.ts';
import { parseQuality } from '../network/link.ts';
import { checkOutputFile } from '../preflight.ts';
import { isAlive } from '../processes/identity.ts';
import { signalProcess } from '../processes/list.ts';
import { waitUntil } from '../wait.ts';
import { enterTestbed } from './enter.ts';
import { showTable } from './figures.ts';
import type { Interrupts } from './verb.ts';

interface LabCall {
  readonly path: string;
  readonly file: LabFile;
  readonly operands: readonly string[];
  readonly words: Words;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly interrupts: Interrupts;
}

export const LAB_COMMANDS = {
  up,
  ps,
  exec,
  link,
  cut,
  heal,
  down,
  graph,
} as const satisfies Record<string, (call: LabCall) => Promise<number>>;

/** Milliseconds. */
const DOWN_LIMIT = 60_000;

async function up({ path, file, words, log, signal }: LabCall): Promise<number> {
  const ready = () => {
    process.stdout.write(`${file.name} is up\n`);
  };
  const { eventFile } = eventsOf(words);
  if (eventFile !== undefined) checkOutputFile('--events:', eventFile);
  if (words.has('foreground')) {
    await keepLab(file, { log, signal, eventFile }, ready);
    return 0;
  }
  // The keeper is this program again; its stderr is copied until all hosts are ready.
  const [program] = process.argv.slice(1);
  const argv: Argv = [
    process.execPath,
    ...process.execArgv,
    ...[program ?? '', 'lab', 'up', '--foreground', path],
    ...words.all('name').flatMap((name) => ['--name', name]),
    ...(eventFile === undefined ? [] : ['--events', eventFile]),
    ...(words.has('debug') ? ['--debug'] : []),
  ];
  const keeper = await spawnHost(argv, log, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  keeper.child.stderr?.on('data', (chunk: Buffer) => process.stderr.write(chunk));
  const stop = () => keeper.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const line = await firstLine(keeper.child.stdout);
  keeper.child.stdout?.destroy();
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

async function ps({ file, words }: LabCall): Promise<number> {
  process.stdout.write(
    words.has('json') ? `${JSON.stringify(hosts(file), undefined, 2)}\n` : showHosts(file),
  );
  return 0;
}

interface HostState {
  readonly host: string;
  readonly addresses: readonly string[];
  readonly state: 'open' | 'closed';
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

async function exec({ file, operands, words, log, signal, interrupts }: LabCall): Promise<number> {
  const [hostname] = operands;
  if (hostname === undefined) throw missing('exec', 'a host');
  const testbed = { ...Laboratory.join(file.name, log).host(hostname), ownNetwork: true };
  const user = words.one('user');
  return enterTestbed(testbed, user === undefined ? {} : { user }, words.command, {
    log,
    signal,
    interrupts,
  });
}

async function link({ file, operands, words, log }: LabCall): Promise<number> {
  const [hostname, ...rest] = operands;
  if (hostname === undefined) throw missing('link', 'a host');
  const one = Laboratory.join(file.name, log).link(hostname, words.one('network'));
  const [state] = rest;
  if (state === 'up' || state === 'down') await one[state]();
  else await one.shape(qualityOf(rest));
  return 0;
}

function qualityOf(words: readonly string[]) {
  const pairs = words.map((word) => {
    const [, name, value] = /^(latency|loss|bandwidth)=(.+)$/.exec(word) ?? [];
    if (name === undefined) {
      throw new UsageError(`${word} is neither a state nor a quality of a link`, {
        code: 'WRONG_VALUE',
        remedy: 'give one of: up, down, latency=20ms, loss=1%, bandwidth=10mbit',
      });
    }
    return [name, value] as const;
  });
  return parseQuality(Object.fromEntries(pairs));
}

async function cut({ file, operands, words, log }: LabCall): Promise<number> {
  if (operands.length === 0) throw missing('cut', 'hosts');
  await Laboratory.join(file.name, log).cut(networkOf(file, words), operands);
  return 0;
}

async function heal({ file, words, log }: LabCall): Promise<number> {
  await Laboratory.join(file.name, log).heal(networkOf(file, words));
  return 0;
}

function missing(command: string, what: string): UsageError {
  return new UsageError(`lab ${command} needs ${what}`, { code: 'MISSING_WORD', remedy: 'see lab --help' });
}

function networkOf(file: LabFile, words: Words): string {
  const [only, second] = file.networks;
  const named = words.one('network');
  if (named !== undefined) return named;
  if (only === undefined || second !== undefined) {
    const names = file.networks.map(({ name }) => name).join(', ');
    throw new UsageError('the laboratory has several networks', {
      code: 'MISSING_OPTION',
      remedy: `give --network with one of ${names}`,
    });
  }
  return only.name;
}

async function down({ file, log, signal }: LabCall): Promise<number> {
  const laboratory = joinIfUp(file.name, log);
  // A script that cleans up should not fail because there is nothing to do.
  if (laboratory === undefined) {
    log.warn(`the laboratory ${file.name} is not up`);
    return 0;
  }
  const left = laboratory.members().flatMap(({ testbed }) => testbed ?? []);
  signalProcess(laboratory.keeper, 'SIGTERM');
  const gone = () => !isAlive(laboratory.keeper) && left.every((one) => !isAlive(one));
  const isSettled = await waitUntil(() => signal.aborted || gone(), DOWN_LIMIT);
  signal.throwIfAborted();
  if (!isSettled) {
    throw new TestbedError(`the laboratory ${file.name} did not end within ${DOWN_LIMIT / 1000} s`, {
      code: 'LAB_DOES_NOT_END',
      remedy: `kill the process ${laboratory.keeper.pid}`,
    });
  }
  return 0;
}

function joinIfUp(name: string, log: Log): Laboratory | undefined {
  try {
    return Laboratory.join(name, log);
  } catch (error) {
    if (error instanceof UsageError && error.code === 'NO_LABORATORY') return undefined;
    throw error;
  }
}

async function graph({ file, words, log }: LabCall): Promise<number> {
  const shown = withAddresses(file, joinIfUp(file.name, log)?.members() ?? []);
  process.stdout.write(words.has('dot') ? dotGraph(shown) : svgGraph(shown));
  return 0;
}
