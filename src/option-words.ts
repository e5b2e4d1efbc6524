/** The server's options as words: their table, the usage text, and the words of a command line sorted to them. Pure. */
import { UsageError } from './errors.ts';

interface Option {
  readonly short?: string;
  /** What follows it. In brackets: may be left out, and is given only as `--name=VALUE`. */
  readonly values: readonly string[];
  readonly help: string;
}

/** All options. Those up to `debug`, and help, are autopkgtest-virt-unshare's, by the same names. */
const OPTIONS = {
  tarball: { short: 't', values: ['FILE'], help: 'root filesystem: a tar archive, compressed or not' },
  release: {
    short: 'r',
    values: ['NAME'],
    help: "root filesystem of this release (default: the host's own)",
  },
  arch: { short: 'a', values: ['ARCH'], help: "Debian's name of the architecture (default: the host's own)" },
  bind: {
    short: 'b',
    values: ['OUTSIDE', 'INSIDE'],
    help: 'show a file or directory of the host, where root of the testbed may do what you may; repeatable',
  },
  'bind-ro': {
    values: ['OUTSIDE', 'INSIDE'],
    help: 'the same, read-only and with the permissions of others; repeatable',
  },
  prefix: {
    short: 'p',
    values: ['PREFIX'],
    help: 'keep the scratch on disk, in the directory where a path that starts so would lie',
  },
  'unpack-dir': {
    short: 'u',
    values: ['DIR'],
    help: 'keep the scratch on disk, in this directory, which is made',
  },
  mirror: {
    short: 'm',
    values: ['MIRROR'],
    help: "where packages come from when a root filesystem is made (default: the machine's own mirrors)",
  },
  bootstrapcmd: {
    values: ['CMD'],
    help: 'what makes it instead of mmdebstrap; release, tarball to write and mirror are added',
  },
  debug: { short: 'd', values: [], help: 'say on stderr what is done' },
  rootfs: {
    values: ['DIR'],
    help: "root filesystem: an unpacked directory, only read; its files are open to all or the testbed's own",
  },
  scratch: { values: ['tmpfs[:SIZE]|DIR'], help: 'where what the testbed writes is kept' },
  mode: { values: ['overlay|copy'], help: 'testbed over an overlay (default), or in a plain copy' },
  network: { values: ['host|none|private'], help: "the host's network (default), none, or one of its own" },
  publish: {
    values: ['[ADDRESS:]HOSTPORT[:PORT][/tcp|/udp]'],
    help: 'with a private network: a port that the host can reach; may be given again',
  },
  hostname: { values: ['NAME'], help: 'name of the testbed' },
  'drain-timeout': {
    values: ['SECONDS'],
    help: 'how long a stuck tee may hold a command back (default: 10)',
  },
  'max-copy': { values: ['SIZE'], help: 'limit for one copy out of the testbed: bytes, or with K, M, G' },
  'report-leaks': {
    values: ['[text|json]'],
    help: 'say what commands and tests left behind, on stderr or with text:FILE or json:FILE in FILE',
  },
  help: { short: 'h', values: [], help: 'show this text' },
  version: { values: [], help: 'show the version' },
} as const satisfies Record<string, Option>;

export type Name = keyof typeof OPTIONS;

/** Those of autopkgtest-virt-unshare. */
const PEERS: ReadonlySet<Name> = new Set([
  ...(['tarball', 'release', 'arch', 'bind', 'prefix', 'unpack-dir', 'mirror'] as const),
  ...(['bootstrapcmd', 'debug', 'help'] as const),
]);

/** The values each option was given, in order; one without value was given ''. */
export type Given = ReadonlyMap<Name, readonly (readonly string[])[]>;

/** The text of --help. `verbs` has the other ways to call the program, by name. */
export function usage(
  verbs: Readonly<Record<string, { readonly usage: string; readonly summary: string }>>,
): string {
  const rows = Object.entries<Option>(OPTIONS).map(([name, { short, values, help }]) => {
    const value =
      values.length === 0 ? '' : isBracketed(values[0]) ? `[=${values[0]?.slice(1)}` : ` ${values.join(' ')}`;
    return `  ${short === undefined ? '   ' : `-${short},`} --${name}${value}\n          ${help}\n`;
  });
  const others = Object.entries(verbs).map(
    ([name, verb]) => `  ${`${name} ${verb.usage}`.trim()}\n          ${verb.summary}\n`,
  );
  return [
    'Usage: autopkgtest [...] -- ts-unshare [OPTION]...\n',
    '       virt-ts-unshare [OPTION]...\n\n',
    'A virtualisation server for autopkgtest: testbeds made of Linux namespaces.\n',
    'On a terminal it is a session for a person; help shows the commands.\n\n',
    'Options:\n',
    ...rows,
    ...(others.length === 0 ? [] : ['\nOther ways to call it: virt-ts-unshare VERB ...\n', ...others]),
    '\nExamples:\n',
    '  autopkgtest hello -- ts-unshare --release trixie\n',
    "  printf '%s\\n' open 'command cat,/etc/debian_version' quit | virt-ts-unshare\n",
  ].join('');
}

/** Sorts the words to the options they belong to, in the ways getopt_long(3) and Python's argparse know. */
export function collect(argv: readonly string[]): Given {
  const given = new Map<Name, string[][]>();
  const words = [...argv];
  const note = (name: Name, values: string[]) => given.set(name, [...(given.get(name) ?? []), values]);
  const following = (name: Name, shown: string): string[] =>
    OPTIONS[name].values.map((placeholder) => {
      const value = words.shift();
      if (value === undefined || (value.startsWith('-') && value !== '-')) {
        throw new UsageError(`${shown} needs ${placeholder}; write ${shownUsage(name)}`);
      }
      return value;
    });
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word.startsWith('--') && word.length > 2) {
      const [, text = '', value] = /^--([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
      const name = longName(text);
      if (value !== undefined) {
        if (OPTIONS[name].values.length !== 1) {
          throw new UsageError(`--${name} takes no value by =; write ${shownUsage(name)}`);
        }
        note(name, [value]);
      } else {
        note(name, isOptional(name) ? [''] : following(name, `--${name}`));
      }
    } else if (word.startsWith('-') && word.length > 1 && word !== '--') {
      const letter = word.charAt(1);
      const name = shortName(letter);
      const rest = word.slice(2);
      if (OPTIONS[name].values.length === 0) {
        note(name, []);
        if (rest !== '') words.unshift(`-${rest}`);
      } else {
        // The value may follow at once: -rbookworm.
        if (rest !== '') words.unshift(rest);
        note(name, following(name, `-${letter}`));
      }
    } else {
      throw new UsageError(
        `unexpected word ${word}; options start with a dash, and a command of run has -- before it, see --help`,
      );
    }
  }
  return given;
}

/**
 * An option by its name, or by a start of it that no other shares. Where one of autopkgtest-virt-unshare's options is the
 * only one of its own with that start, it is meant, as it is there.
 */
function longName(text: string): Name {
  const names = Object.keys(OPTIONS).filter(isName);
  const found = names.find((name) => name === text);
  if (found !== undefined) return found;
  const own = text === '' ? [] : names.filter((name) => name.startsWith(text));
  const peers = own.filter((name) => PEERS.has(name));
  const [first, ...others] = peers.length === 1 ? peers : own;
  if (first === undefined) throw new UsageError(`unknown option --${text}; see --help`);
  if (others.length > 0) {
    const all = [first, ...others].map((name) => `--${name}`).join(', ');
    throw new UsageError(`--${text} could be ${all}; write it out`);
  }
  return first;
}

function shortName(letter: string): Name {
  const found = Object.keys(OPTIONS)
    .filter(isName)
    .find((name) => 'short' in OPTIONS[name] && OPTIONS[name].short === letter);
  if (found === undefined) throw new UsageError(`unknown option -${letter}; see --help`);
  return found;
}

function isName(text: string): text is Name {
  return Object.hasOwn(OPTIONS, text);
}

function isOptional(name: Name): boolean {
  return isBracketed(OPTIONS[name].values[0]);
}

function isBracketed(value: string | undefined): boolean {
  return /^\[[^\]]*\]$/.test(value ?? '');
}

function shownUsage(name: Name): string {
  return [`--${name}`, ...OPTIONS[name].values].join(' ');
}
