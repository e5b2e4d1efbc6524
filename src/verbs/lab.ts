/** `virt-ts-unshare lab ...`: laboratories that a file describes, for a person. The words of the command line. */
import { readFileSync, realpathSync } from 'node:fs';
import { reasonOf, UsageError } from '../errors.ts';
import { type LabFile, parseLab } from '../lab/file.ts';
import { createLog } from '../log.ts';
import { LAB_COMMANDS } from './lab-commands.ts';
import type { RunVerb } from './verb.ts';
import { parseVerb } from './words.ts';

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
      --stay-root       do not become the user who called sudo

Example, of two hosts that know each other's names:
  printf '%s\\n' 'networks: { lan: 10.1.0.0/24 }' 'hosts: { one: , two: }' >lab.yaml
  virt-ts-unshare lab up lab.yaml
  virt-ts-unshare lab exec lab.yaml one getent hosts two
  virt-ts-unshare lab down lab.yaml
`;

/** Gives the exit status: 0, or the command's with exec. */
export const lab: RunVerb = async (argv, signal, interrupts) => {
  const { values, positionals } = parse(argv);
  const [command, path, ...words] = positionals;
  if (values.help === true) {
    process.stdout.write(LAB_USAGE);
    return 0;
  }
  const known = LAB_COMMANDS;
  const found = command !== undefined && Object.hasOwn(known, command) ? known[command] : undefined;
  if (found === undefined) {
    const given = command === undefined ? 'lab needs a command' : `lab knows no command ${command}`;
    throw new UsageError(`${given}; give one of ${Object.keys(known).join(', ')}, or --help`);
  }
  if (path === undefined) throw new UsageError(`lab ${command} needs a file; see lab --help`);
  const [extra] = found.takesWords ? [] : words;
  if (extra !== undefined)
    throw new UsageError(`unexpected word ${extra}; lab ${command} takes a file, see lab --help`);
  const log = createLog({ debug: values.debug ?? false });
  const file = readLab(path, values.name);
  return found.run({ path, file, words, values, log, signal, interrupts });
};

function parse(argv: readonly string[]) {
  // The command of an exec is the host's own business, its options too.
  const [command] = argv.filter((word) => !word.startsWith('-'));
  const end = command === 'exec' ? startOfCommand(argv) : argv.length;
  const { values, positionals } = parseVerb('lab', {
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
}

const WITH_VALUE = ['--network', '--user', '--name'];

/** Where the words behind `exec FILE HOST`, and behind options of ours that follow, begin. */
function startOfCommand(argv: readonly string[]): number {
  let names = 0;
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] ?? '';
    if (word === '--') return index;
    if (WITH_VALUE.includes(word)) index += 1;
    else if (!word.startsWith('-')) names += 1;
    if (names === 4) return index;
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
    throw new UsageError(
      `cannot read the laboratory file ${path}: ${reasonOf(cause)}; give one that is there`,
      {
        cause,
      },
    );
  }
  const file = parseLab(text, real);
  return name === undefined ? file : { ...file, name: `${name}-${file.name}` };
}
