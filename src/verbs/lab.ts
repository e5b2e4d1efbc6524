/** `virt-ts-unshare lab ...`: laboratories that a file describes, for a person. */
import { readFileSync, realpathSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { messageOf, TestbedError, UsageError } from '../errors.ts';
import { type Argv, spawnHost } from '../host.ts';
import { type LabFile, parseLab } from '../lab/file.ts';
import { dotGraph, svgGraph } from '../lab/graph.ts';
import { keepLab } from '../lab/keeper.ts';
import { createLog, type Log } from '../log.ts';
import { firstLine } from '../namespaces/lifeline.ts';
import { readMark } from '../namespaces/mark.ts';
import { signalProcess } from '../namespaces/processes.ts';
import { Laboratory } from '../network/laboratory.ts';
import { parseQuality } from '../network/link.ts';
import { isAlive } from '../network/registry.ts';
import { executeCommand } from '../testbed/execute.ts';
import { waitUntil } from '../wait.ts';
import { showTable } from './figures.ts';

export const LAB_USAGE = `Usage: virt-ts-unshare lab COMMAND FILE [OPTION]...

Laboratories: several testbeds with real addresses on networks of their own, as FILE describes them (see docs/networks.md).

  up FILE [--foreground]        open all hosts and run their commands; returns when all of it stands
  ps FILE [--json]              show the hosts, their addresses and whether they are open
  exec FILE HOST [COMMAND...]   run a command on a host, or a shell; the exit status is the command's
  link FILE HOST up|down        plug a host's cable in or out
  link FILE HOST QUALITY...     change a link: latency=20ms loss=1% bandwidth=10mbit; nothing: as good as can be
  cut FILE HOST...              cut the network in two: these hosts on one side, all others on the other
  heal FILE                     put a network that was cut together again
  down FILE                     end the laboratory; returns when nothing of it is left
  graph FILE [--dot]            draw it as SVG, or in the language of dot(1)

Options:
      --network NAME    link, cut, heal: only in this network; needed when there are several
      --user USER       exec: who runs the command (default: root)
      --name NAME       another name for the laboratory, so that one file can be up more than once
  -d, --debug           say on stderr what is done
`;

interface Call {
  readonly path: string;
  readonly file: LabFile;
  readonly words: readonly string[];
  readonly values: Values;
  readonly log: Log;
  readonly signal: AbortSignal;
}

type Values = ReturnType<typeof parse>['values'];

const COMMANDS: Readonly<Record<string, (call: Call) => Promise<number>>> = {
  up,
  ps,
  exec,
  link,
  cut,
  heal,
  down,
  graph,
};

/** Milliseconds for a laboratory to end. */
const DOWN_LIMIT = 60_000;

/**
 * Gives the exit status: 0, or the command's with exec.
 * @throws UsageError, TestbedError
 */
export async function lab(argv: readonly string[], signal: AbortSignal): Promise<number> {
  const { values, positionals } = parse(argv);
  const [command, path, ...words] = positionals;
  if (values.help === true) {
    process.stdout.write(LAB_USAGE);
    return 0;
  }
  const run = command !== undefined && Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  if (run === undefined) {
    const given = command === undefined ? 'lab needs a command' : `lab knows no command ${command}`;
    throw new UsageError(`${given}; give one of ${Object.keys(COMMANDS).join(', ')}, or --help`);
  }
  if (path === undefined) throw new UsageError(`lab ${command} needs a file; see lab --help`);
  const log = createLog({ debug: values.debug ?? false });
  return run({ path, file: readLab(path, values.name), words, values, log, signal });
}

function parse(argv: readonly string[]) {
  // What follows the host of an exec is the command's own, options too.
  const [command] = argv.filter((word) => !word.startsWith('-'));
  const end = command === 'exec' ? endOfOwnWords(argv) : argv.length;
  try {
    const { values, positionals } = parseArgs({
      args: argv.slice(0, end),
      allowPositionals: true,
      options: {
        foreground: { type: 'boolean' },
        json: { type: 'boolean' },
        dot: { type: 'boolean' },
        network: { type: 'string' },
        user: { type: 'string' },
        name: { type: 'string' },
        debug: { type: 'boolean', short: 'd' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    const rest = argv.slice(end);
    return { values, positionals: [...positionals, ...(rest[0] === '--' ? rest.slice(1) : rest)] };
  } catch (error) {
    const [sentence] = messageOf(error).split('. ');
    throw new UsageError(`${sentence}; see lab --help`, { cause: error });
  }
}

const WITH_VALUE = ['--network', '--user', '--name'];

/** Where the words behind `exec FILE HOST` begin. */
function endOfOwnWords(argv: readonly string[]): number {
  let names = 0;
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] ?? '';
    if (WITH_VALUE.includes(word)) index += 1;
    else if (!word.startsWith('-')) names += 1;
    if (names === 3) return index + 1;
  }
  return argv.length;
}

function readLab(path: string, name: string | undefined): LabFile {
  let real: string;
  let text: string;
  try {
    real = realpathSync(path);
    text = readFileSync(real, 'utf8');
  } catch (cause) {
    throw new UsageError(`cannot read the laboratory file: ${messageOf(cause)}; give one that is there`, {
      cause,
    });
  }
  const file = parseLab(text, real);
  return name === undefined ? file : { ...file, name: `${name}-${file.name}` };
}

async function up({ path, file, values, log, signal }: Call): Promise<number> {
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

async function ps({ file, values }: Call): Promise<number> {
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

async function exec({ file, words, values, log }: Call): Promise<number> {
  const [hostname, ...command] = words;
  if (hostname === undefined) throw new UsageError('lab exec needs a host; see lab --help');
  const host = Laboratory.join(file.name, log).host(hostname);
  const target = { pid: host.pid, mark: readMark(host), ownNetwork: true, drainTimeout: 10 };
  const place = { keepTerm: true, ...(values.user === undefined ? {} : { user: values.user }) };
  const shell = ['sh', '-c', 'if [ -x /bin/bash ]; then exec bash -i; else exec sh -i; fi'];
  const argv: Argv = [...executeCommand(target, place), ...(command.length === 0 ? shell : command)];
  const started = await spawnHost(argv, log, { stdio: [0, 1, 2] });
  return (await started.exited).status;
}

async function link({ file, words, values, log }: Call): Promise<number> {
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

async function cut({ file, words, values, log }: Call): Promise<number> {
  if (words.length === 0) throw new UsageError('lab cut needs hosts; see lab --help');
  await Laboratory.join(file.name, log).cut(networkOf(file, values), words);
  return 0;
}

async function heal({ file, values, log }: Call): Promise<number> {
  await Laboratory.join(file.name, log).heal(networkOf(file, values));
  return 0;
}

function networkOf(file: LabFile, values: Values): string {
  const [only, second] = file.networks;
  if (values.network !== undefined) return values.network;
  if (only === undefined || second !== undefined) {
    const names = file.networks.map(({ name }) => name).join(', ');
    throw new UsageError(`there are several networks; give --network with one of ${names}`);
  }
  return only.name;
}

async function down({ file, log }: Call): Promise<number> {
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

async function graph({ file, values }: Call): Promise<number> {
  process.stdout.write(values.dot === true ? dotGraph(file) : svgGraph(file));
  return 0;
}
