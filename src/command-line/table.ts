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
  | 'report'
  | 'compare'
  | 'doctor'
  | 'test'
  | `rootfs ${'list' | 'build' | 'update' | 'import' | 'export' | 'remove' | 'prune' | 'verify'}`
  | `debci ${'install' | 'remove'}`
  | `lab ${'up' | 'ps' | 'exec' | 'link' | 'cut' | 'heal' | 'down' | 'graph'}`;

export type Verb =
  | 'run'
  | 'shell'
  | 'test'
  | 'exec'
  | 'close'
  | 'ps'
  | 'stats'
  | 'logs'
  | 'cp'
  | 'commit'
  | 'report'
  | 'compare'
  | 'doctor'
  | 'rootfs'
  | 'lab'
  | 'debci';

export interface Option {
  readonly name: string;
  readonly short?: string;
  /** In brackets: may be left out, and is given only as `--name=VALUE`. */
  readonly values: readonly string[];
  readonly help: string;
  readonly group: 'Root filesystem' | 'Testbed' | 'Command' | 'Tests' | 'Preparation' | 'Other options';
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
const DEBCI = ['debci install', 'debci remove'] as const;
const OPEN_ONES = ['exec', 'close', 'ps', 'stats', 'logs', 'cp', 'commit'] as const;
const EVIDENCE = ['report', 'compare'] as const;
const VERBS = [
  ...(['run', 'shell', ...HOSTS, 'test', ...OPEN_ONES, ...EVIDENCE, 'doctor'] as const),
  ...[...ROOTFS, ...LABS],
] as const;

const RUNS: readonly Call[] = ['run', 'run --host'];

const TIMEOUTS = {
  short: 'a short command',
  copy: 'a copy',
  install: 'an installation',
  test: 'a test',
  build: 'a build',
} as const;

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
    help: "let the image's own init be pid 1: without a value it must have one, auto uses one that is there; open waits until it has booted (default: auto with --network=private, else none)",
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
    name: 'prefix',
    values: ['DIR'],
    help: 'the directory of debci, which has a directory backends, or a prefix with share/debci (default: /usr)',
    group: 'Other options',
    calls: DEBCI,
  },
  {
    name: 'jobs',
    short: 'j',
    values: ['N'],
    help: 'run so many drivers at once (default: the number of processors)',
    group: 'Tests',
    calls: ['test'],
  },
  {
    name: 'output-dir',
    short: 'o',
    values: ['DIR'],
    help: "keep the log, the summary, each test's output and its artifacts in DIR, as autopkgtest does; DIR must be empty or not exist",
    group: 'Tests',
    calls: ['test'],
  },
  {
    name: 'summary-file',
    values: ['FILE'],
    help: 'write the summary to FILE',
    group: 'Tests',
    calls: ['test'],
  },
  {
    name: 'test-name',
    values: ['NAME'],
    help: 'run only this test; may be given several times',
    group: 'Tests',
    calls: ['test'],
  },
  {
    name: 'skip-test',
    values: ['NAME'],
    help: 'do not run this test; may be given several times',
    group: 'Tests',
    calls: ['test'],
  },
  {
    name: 'no-built-binaries',
    short: 'B',
    values: [],
    help: 'do not build the source package; test what is in the archive',
    group: 'Tests',
    calls: ['test'],
  },
  {
    name: 'override-control',
    values: ['FILE'],
    help: "use this file in place of the package's debian/tests/control",
    group: 'Tests',
    calls: ['test'],
  },
  {
    name: 'ignore-restrictions',
    values: ['NAME[,NAME...]'],
    help: 'run tests also where these restrictions would prevent it',
    group: 'Tests',
    calls: ['test'],
  },
  {
    name: 'needs-internet',
    values: ['run|try|skip'],
    help: 'what to do with tests that need the internet: run them (default), run them as flaky ones, or skip them',
    group: 'Tests',
    calls: ['test'],
  },
  {
    name: 'no-auto-control',
    values: [],
    help: 'do not generate tests with autodep8',
    group: 'Tests',
    calls: ['test'],
  },
  {
    name: 'user',
    short: 'u',
    values: ['NAME'],
    help: 'run tests as this user of the testbed',
    group: 'Tests',
    calls: ['test'],
  },
  {
    name: 'env',
    values: ['NAME=VALUE'],
    help: 'set an environment variable for builds and tests; may be given several times',
    group: 'Tests',
    calls: ['test'],
  },
  {
    name: 'set-lang',
    values: ['LANG'],
    help: 'set LANG in the testbed (default: C.UTF-8)',
    group: 'Tests',
    calls: ['test'],
  },
  ...(['short', 'copy', 'install', 'test', 'build'] as const).map(
    (kind) =>
      ({
        name: `timeout-${kind}`,
        values: ['SECONDS'],
        help: `how long ${TIMEOUTS[kind]} may take`,
        group: 'Tests',
        calls: ['test'],
      }) as const,
  ),
  {
    name: 'timeout-factor',
    values: ['FACTOR'],
    help: 'multiply all default timeouts by FACTOR',
    group: 'Tests',
    calls: ['test'],
  },
  {
    name: 'apt-upgrade',
    short: 'U',
    values: [],
    help: 'bring the testbed up to date first',
    group: 'Preparation',
    calls: ['test'],
  },
  {
    name: 'setup-commands',
    values: ['COMMANDS|FILE'],
    help: 'run these commands as root in the testbed first; may be given several times',
    group: 'Preparation',
    calls: ['test'],
  },
  {
    name: 'setup-commands-boot',
    values: ['COMMANDS|FILE'],
    help: 'run these commands as root after each start of a testbed; may be given several times',
    group: 'Preparation',
    calls: ['test'],
  },
  {
    name: 'copy',
    values: ['HOSTPATH:TESTBEDPATH'],
    help: 'copy a file or directory into the testbed; may be given several times',
    group: 'Preparation',
    calls: ['test'],
  },
  {
    name: 'add-apt-source',
    values: ['LINE'],
    help: 'add a line to the sources of apt; may be given several times',
    group: 'Preparation',
    calls: ['test'],
  },
  {
    name: 'add-apt-release',
    values: ['RELEASE'],
    help: 'add another release to the sources of apt; may be given several times',
    group: 'Preparation',
    calls: ['test'],
  },
  {
    name: 'apt-pocket',
    values: ['POCKET[=PACKAGE,...]'],
    help: "add this pocket of the testbed's release to the sources of apt; with packages: only these; may be given several times",
    group: 'Preparation',
    calls: ['test'],
  },
  {
    name: 'pin-packages',
    values: ['RELEASE=PACKAGE,...'],
    help: 'take these packages from another release; may be given several times',
    group: 'Preparation',
    calls: ['test'],
  },
  {
    name: 'apt-default-release',
    values: ['RELEASE'],
    help: 'the release of all packages that are not pinned',
    group: 'Preparation',
    calls: ['test'],
  },
  {
    name: 'no-apt-fallback',
    values: [],
    help: 'do not install without pins what cannot be installed with them',
    group: 'Preparation',
    calls: ['test'],
  },
  {
    name: 'gain-root',
    values: ['COMMAND'],
    help: 'how the build gains root, for dpkg-buildpackage -r',
    group: 'Preparation',
    calls: ['test'],
  },
  {
    name: 'build-parallel',
    values: ['N'],
    help: 'build with so many processes (default: the number of processors)',
    group: 'Preparation',
    calls: ['test'],
  },
  {
    name: 'no-image',
    values: [],
    help: 'let each driver run the setup commands and install all dependencies (default: these are done once)',
    group: 'Preparation',
    calls: ['test'],
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
    name: 'output',
    short: 'o',
    values: ['FILE'],
    help: 'write a page (HTML) to FILE, - for stdout (default: text to stdout)',
    group: 'Other options',
    calls: ['report'],
  },
  {
    name: 'json',
    values: [],
    help: 'print JSON',
    group: 'Other options',
    calls: ['ps', 'stats', 'compare', 'doctor', 'rootfs list', 'lab ps'],
  },
  {
    name: 'debug',
    short: 'd',
    values: [],
    help: 'report on stderr what is done',
    group: 'Other options',
    calls: ['server', ...VERBS.filter((verb) => !RUNS.includes(verb)), ...DEBCI],
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
    calls: ['server', ...VERBS, ...DEBCI],
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
