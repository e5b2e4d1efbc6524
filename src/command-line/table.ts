/** Every option of the program, as data: the source of the parser and of --help. Imports nothing. */

export type Call =
  | 'server'
  | 'run'
  | 'run --host'
  | 'shell'
  | 'shell --host'
  | 'exec'
  | 'close'
  | 'cp'
  | 'logs'
  | 'stats'
  | 'commit'
  | 'ps'
  | 'doctor'
  | `rootfs ${'list' | 'build' | 'update' | 'import' | 'export' | 'remove' | 'prune' | 'verify'}`
  | `lab ${'up' | 'ps' | 'exec' | 'link' | 'cut' | 'heal' | 'down' | 'graph'}`;

export type Verb =
  | 'run'
  | 'shell'
  | 'exec'
  | 'close'
  | 'ps'
  | 'stats'
  | 'logs'
  | 'cp'
  | 'commit'
  | 'doctor'
  | 'rootfs'
  | 'lab';

export interface Option {
  readonly name: string;
  readonly short?: string;
  /** In brackets: may be left out, and is given only as `--name=VALUE`. */
  readonly values: readonly string[];
  readonly help: string;
  readonly group: 'Root filesystem' | 'Testbed' | 'Command' | 'Other options';
  readonly calls: readonly Call[];
  readonly peer?: true;
}

const TESTBEDS = ['server', 'run', 'shell'] as const;
const HOSTS = ['run --host', 'shell --host'] as const;
const ROOTFS = [
  ...(['rootfs list', 'rootfs build', 'rootfs update', 'rootfs import', 'rootfs remove'] as const),
  ...(['rootfs export', 'rootfs prune', 'rootfs verify'] as const),
] as const;
const LABS = [
  ...(['lab up', 'lab ps', 'lab exec', 'lab link', 'lab cut', 'lab heal', 'lab down', 'lab graph'] as const),
] as const;
const OPEN_ONES = ['exec', 'close', 'ps', 'stats', 'logs', 'cp', 'commit'] as const;
const VERBS = ['run', 'shell', ...HOSTS, ...OPEN_ONES, 'doctor', ...ROOTFS, ...LABS] as const;

const RUNS: readonly Call[] = ['run', 'run --host'];

/** A name occurs twice where verbs mean different things by it. */
export const OPTIONS = [
  {
    name: 'tarball',
    short: 't',
    values: ['FILE'],
    help: 'a tar archive, compressed or not',
    group: 'Root filesystem',
    calls: TESTBEDS,
    peer: true,
  },
  {
    name: 'rootfs',
    values: ['DIR|NAME'],
    help: 'an unpacked directory, which is only read; its files belong to root of the testbed or are readable by all; or the name of an image',
    group: 'Root filesystem',
    calls: TESTBEDS,
  },
  {
    name: 'release',
    short: 'r',
    values: ['NAME'],
    help: "this release of Debian, or an image of this name (default: the host's release)",
    group: 'Root filesystem',
    calls: TESTBEDS,
    peer: true,
  },
  {
    name: 'arch',
    short: 'a',
    values: ['ARCH'],
    help: "Debian's name of the architecture (default: the host's architecture); qemu of the host executes another one",
    group: 'Root filesystem',
    calls: [...TESTBEDS, 'rootfs build', 'rootfs import', 'rootfs export', 'commit'],
    peer: true,
  },
  {
    name: 'mirror',
    short: 'm',
    values: ['MIRROR'],
    help: "the package mirror from which a root filesystem is built (default: the host's mirrors)",
    group: 'Root filesystem',
    calls: [...TESTBEDS, 'rootfs build', 'rootfs update'],
    peer: true,
  },
  {
    name: 'bootstrapcmd',
    values: ['CMD'],
    help: 'a command that builds a root filesystem in place of mmdebstrap; the release, the tarball to write and the mirror are added to it',
    group: 'Root filesystem',
    calls: [...TESTBEDS, 'rootfs build', 'rootfs update'],
    peer: true,
  },
  {
    name: 'from',
    values: ['PARENT'],
    help: 'make an image over this one: the name of an image, a release, or the path of a tarball',
    group: 'Root filesystem',
    calls: ['rootfs build'],
  },
  {
    name: 'run',
    values: ['COMMAND'],
    help: 'with --from: a command for sh, run as root; the first that fails ends the build; may be given several times',
    group: 'Root filesystem',
    calls: ['rootfs build'],
  },
  {
    name: 'all',
    values: [],
    help: 'remove every base that is not in use and that no committed image lies over, so that rm -rf can delete the cache',
    group: 'Root filesystem',
    calls: ['rootfs prune'],
  },
  {
    name: 'max-age',
    values: ['DAYS'],
    help: 'keep bases that were used in the last DAYS days (default: 30)',
    group: 'Root filesystem',
    calls: ['rootfs prune'],
  },
  {
    name: 'max-size',
    values: ['SIZE'],
    help: 'the size that all bases together may have: bytes, or with K, M, G (default: 20G)',
    group: 'Root filesystem',
    calls: ['rootfs prune'],
  },
  {
    name: 'bind',
    short: 'b',
    values: ['OUTSIDE', 'INSIDE'],
    help: 'mount a file or directory of the host in the testbed, where root of the testbed may do what you may; may be given several times',
    group: 'Testbed',
    calls: TESTBEDS,
    peer: true,
  },
  {
    name: 'bind-ro',
    values: ['OUTSIDE', 'INSIDE'],
    help: 'the same, read-only and with the permissions of others; may be given several times',
    group: 'Testbed',
    calls: TESTBEDS,
  },
  {
    name: 'init',
    values: ['[auto|systemd|none|PATH]'],
    help: "let the image's own init be pid 1: without a value it must have one, auto uses one that is there; open waits until it has booted (default: none)",
    group: 'Testbed',
    calls: TESTBEDS,
  },
  {
    name: 'network',
    values: ['host|none|private'],
    help: "the host's network (default), only loopback, or a network of the testbed's own",
    group: 'Testbed',
    calls: TESTBEDS,
  },
  {
    name: 'publish',
    values: ['[ADDRESS:]HOSTPORT[:PORT][/tcp|/udp]'],
    help: 'with --network=private: forward a port of the host to the testbed; may be given several times',
    group: 'Testbed',
    calls: TESTBEDS,
  },
  {
    name: 'hostname',
    values: ['NAME'],
    help: 'host name of the testbed (default: a random name)',
    group: 'Testbed',
    calls: TESTBEDS,
  },
  {
    name: 'scratch',
    values: ['tmpfs[:SIZE]|DIR'],
    help: 'keep what the testbed writes in memory or in this directory (default: in memory, if the kernel can)',
    group: 'Testbed',
    calls: TESTBEDS,
  },
  {
    name: 'prefix',
    short: 'p',
    values: ['PREFIX'],
    help: 'keep what the testbed writes on disk, in the directory of a path that starts with PREFIX',
    group: 'Testbed',
    calls: TESTBEDS,
    peer: true,
  },
  {
    name: 'unpack-dir',
    short: 'u',
    values: ['DIR'],
    help: 'keep what the testbed writes on disk, in this directory, which is created if it does not exist',
    group: 'Testbed',
    calls: ['server'],
    peer: true,
  },
  {
    // Without the letter, which is that of --user.
    name: 'unpack-dir',
    values: ['DIR'],
    help: 'keep what the testbed writes on disk, in this directory, which is created if it does not exist',
    group: 'Testbed',
    calls: ['run', 'shell'],
  },
  {
    name: 'mode',
    values: ['overlay|copy'],
    help: 'overlay (default): a layer over the root filesystem; copy: a plain copy of it, which opens slowly',
    group: 'Testbed',
    calls: TESTBEDS,
  },
  {
    name: 'drain-timeout',
    values: ['SECONDS'],
    help: 'how long a command waits for a process that reads its output but makes no progress (default: 10)',
    group: 'Testbed',
    calls: TESTBEDS,
  },
  {
    name: 'max-copy',
    values: ['SIZE'],
    help: 'limit for one copy out of the testbed: bytes, or with K, M, G (default: no limit)',
    group: 'Testbed',
    calls: [...TESTBEDS, 'cp'],
  },
  {
    name: 'remember-packages',
    values: [],
    help: 'keep packages that apt downloads in the cache, so that later testbeds need not download them',
    group: 'Testbed',
    calls: TESTBEDS,
  },
  {
    name: 'max-processes',
    values: ['NUMBER'],
    help: 'how many processes and threads the testbed may have (default: 16384, or half of what you may have, or one for each MiB of memory, whichever is least)',
    group: 'Testbed',
    calls: TESTBEDS,
  },
  {
    name: 'max-memory',
    values: ['SIZE'],
    help: "memory for the testbed's files: half of SIZE for what it writes, a quarter for /dev/shm, a tenth for /run (default: the machine's memory); bytes, or with K, M, G",
    group: 'Testbed',
    calls: TESTBEDS,
  },
  {
    name: 'report-leaks',
    values: ['[text|json]'],
    help: 'report what commands and tests leave behind, on stderr; text:FILE and json:FILE append to FILE',
    group: 'Testbed',
    calls: TESTBEDS,
  },
  {
    name: 'events',
    values: ['FILE'],
    help: 'append a line of JSON to FILE for each event: commands with status and duration, copies, leaks, packages, reverts, failures; several servers may share FILE',
    group: 'Testbed',
    calls: [...TESTBEDS, 'rootfs build', 'lab up'],
  },
  {
    name: 'host',
    values: [],
    help: "use this machine's own root filesystem, with a private /tmp, /dev/shm, mounts, processes and IPC; uid, gid, environment and working directory are kept, and mounting is allowed",
    group: 'Command',
    calls: HOSTS,
  },
  {
    name: 'root',
    values: [],
    help: 'with --host: run as root of a user namespace',
    group: 'Command',
    calls: HOSTS,
  },
  {
    name: 'require-isolation',
    values: [],
    help: 'with --host: fail where namespaces are not available (default: run without isolation)',
    group: 'Command',
    calls: ['run --host'],
  },
  {
    name: 'fail-on-leak',
    values: [],
    help: 'exit with status 1 if the command succeeds but leaves something behind',
    group: 'Command',
    calls: ['run', 'run --host'],
  },
  {
    name: 'detach',
    short: 'd',
    values: [],
    help: 'print the name of the testbed and return; it stays open until COMMAND has ended (without COMMAND: until close NAME)',
    group: 'Command',
    calls: ['run'],
  },
  {
    name: 'name',
    values: ['NAME'],
    help: 'name of the testbed, for ps, exec, close, cp, logs, stats and commit, and its host name without --hostname (default: the host name)',
    group: 'Command',
    calls: ['run', 'shell'],
  },
  {
    name: 'user',
    short: 'u',
    values: ['USER[:GROUP]'],
    help: 'run as this user of the testbed, a name or a number, and in this group (default: root)',
    group: 'Command',
    calls: ['run', 'exec', 'lab exec'],
  },
  {
    name: 'cwd',
    values: ['DIR'],
    help: 'run in this directory of the testbed (default: /, for shell /root)',
    group: 'Command',
    calls: ['run', 'shell', 'exec'],
  },
  {
    name: 'workdir',
    short: 'w',
    values: ['DIR'],
    help: 'the same as --cwd',
    group: 'Command',
    calls: ['run', 'shell', 'exec'],
  },
  {
    name: 'env',
    short: 'e',
    values: ['NAME=VALUE'],
    help: 'set an environment variable; may be given several times',
    group: 'Command',
    calls: ['run', 'shell', ...HOSTS, 'exec'],
  },
  {
    name: 'env-file',
    values: ['FILE'],
    help: 'set the variables of this file, one NAME=VALUE a line; --env overrides it; may be given several times',
    group: 'Command',
    calls: ['run', 'shell', ...HOSTS, 'exec'],
  },
  {
    name: 'commit',
    values: ['NAME'],
    help: 'if the command ends with status 0, make an image NAME of what it wrote, for --release NAME',
    group: 'Command',
    calls: ['run'],
  },
  {
    name: 'processes',
    values: [],
    help: 'list the processes of each testbed',
    group: 'Other options',
    calls: ['ps'],
  },
  {
    name: 'network',
    values: ['NAME'],
    help: 'only in this network; needed when the laboratory has several',
    group: 'Other options',
    calls: ['lab link', 'lab cut', 'lab heal'],
  },
  {
    name: 'name',
    values: ['NAME'],
    help: 'another name for the laboratory, so that one file can be up several times',
    group: 'Other options',
    calls: LABS,
  },
  {
    name: 'follow',
    short: 'f',
    values: [],
    help: 'go on with what the command writes from now on, until it has ended',
    group: 'Other options',
    calls: ['logs'],
  },
  {
    name: 'foreground',
    values: [],
    help: 'stay until a signal ends the laboratory',
    group: 'Other options',
    calls: ['lab up'],
  },
  {
    name: 'dot',
    values: [],
    help: 'draw in the language of dot(1) (default: SVG)',
    group: 'Other options',
    calls: ['lab graph'],
  },
  {
    name: 'json',
    values: [],
    help: 'print JSON',
    group: 'Other options',
    calls: ['ps', 'stats', 'doctor', 'rootfs list', 'lab ps'],
  },
  {
    name: 'debug',
    short: 'd',
    values: [],
    help: 'report on stderr what is done',
    group: 'Other options',
    calls: ['server', ...VERBS.filter((verb) => !RUNS.includes(verb))],
    peer: true,
  },
  {
    // Without the letter, which is that of --detach.
    name: 'debug',
    values: [],
    help: 'report on stderr what is done',
    group: 'Other options',
    calls: RUNS,
  },
  {
    name: 'stay-root',
    values: [],
    help: 'with sudo: stay root (default: become the user who called sudo)',
    group: 'Other options',
    calls: VERBS,
  },
  {
    name: 'help',
    short: 'h',
    values: [],
    help: 'show this text',
    group: 'Other options',
    calls: ['server', ...VERBS],
    peer: true,
  },
  {
    name: 'version',
    short: 'V',
    values: [],
    help: 'show the version',
    group: 'Other options',
    calls: ['server'],
  },
] as const satisfies readonly Option[];

export type OptionName = (typeof OPTIONS)[number]['name'];

export function optionsOf(call: Call | Verb): readonly (Option & { readonly name: OptionName })[] {
  const all: readonly (Option & { readonly name: OptionName })[] = OPTIONS;
  return all.filter(({ calls }) => calls.some((each) => each === call || each.startsWith(`${call} `)));
}
