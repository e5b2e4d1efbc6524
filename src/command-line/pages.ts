import type { Owner } from './given.ts';
import type { Verb } from './options/option.ts';

interface Page {
  readonly usage: readonly string[];
  readonly summary: string;
  readonly text: string;
  readonly commands?: readonly (readonly [words: string, help: string])[];
  readonly notes?: readonly string[];
  readonly examples: readonly string[];
}

const NEEDS_MINE =
  'The examples need a testbed that was opened with virt-ts-unshare run --detach --name mine, or in another terminal with virt-ts-unshare shell --name mine.';
const NEEDS_DETACHED =
  'The examples need a testbed that was opened with virt-ts-unshare run --detach --name mine -- COMMAND.';

const TESTBED_OPTIONS =
  'A testbed also takes the options of the groups "Root filesystem" and "Testbed": see virt-ts-unshare --help.';

export const PAGES: Readonly<Record<Owner, Page>> = {
  server: {
    usage: ['autopkgtest [...] -- ts-unshare [OPTION]...', 'virt-ts-unshare [OPTION]...'],
    summary: 'the server',
    text: 'A virtualisation server for autopkgtest, whose testbeds are made of Linux namespaces. It reads requests from stdin. On a terminal it is an interactive session; help lists its commands.',
    examples: [
      'autopkgtest hello -- ts-unshare --release trixie',
      "printf '%s\\n' open 'command cat,/etc/debian_version' quit | virt-ts-unshare",
    ],
  },
  run: {
    usage: ['virt-ts-unshare run [OPTION]... [-- COMMAND [ARGUMENT]...]'],
    summary: 'run a command in a fresh testbed, or isolated on this machine, and report what it left behind',
    text: 'Runs COMMAND in a fresh testbed, and reports on stderr what it left behind. Without COMMAND it runs a shell. On a terminal COMMAND has a terminal of its own, with job control: Ctrl-C is for COMMAND, Ctrl-Z stops it and this program.',
    notes: [
      TESTBED_OPTIONS,
      'With --detach the testbed outlives this program. Its output is kept for virt-ts-unshare logs; close NAME ends it.',
      'Exit status: that of COMMAND, 128 + n if signal n ended it, 255 if the testbed failed, 2 for a wrong call.',
    ],
    examples: [
      'virt-ts-unshare run --host --fail-on-leak -- make check',
      'virt-ts-unshare run --detach --name web -- sleep 60; virt-ts-unshare close web',
      "virt-ts-unshare run --release bookworm --network=none -- sh -c 'apt-get --version; id'",
    ],
  },
  shell: {
    usage: ['virt-ts-unshare shell [OPTION]...'],
    summary: 'open an interactive shell in a fresh testbed, or isolated on this machine',
    text: "Opens an interactive shell in a fresh testbed, which is removed when the shell ends. Exits with the shell's status.",
    notes: [TESTBED_OPTIONS],
    examples: [
      'virt-ts-unshare shell --release trixie --bind "$PWD" /src --cwd /src',
      'virt-ts-unshare shell --host',
    ],
  },
  test: {
    usage: ['virt-ts-unshare test [OPTION]... [PACKAGE...] [-- SERVER-OPTION...]'],
    summary: "run a package's tests by autopkgtest, several at once",
    text: 'Runs the tests of a source package by autopkgtest, several at once. PACKAGE is what autopkgtest takes: a .dsc or .changes file, a source tree (default: the working directory), the name of a package, and .deb files to test. The package is built once, and what all tests depend on is installed once; each driver starts from an image of that testbed. Shows a table of the tests on a terminal, and prints the summary. The rules are those of autopkgtest: see docs/testing-packages.md.',
    notes: [
      'SERVER-OPTION is an option of the groups "Root filesystem" and "Testbed": see virt-ts-unshare --help. Tests with the restriction isolation-container run in testbeds with --network=private, and so with the image\'s init where it has one, unless --network is given.',
      'Exit status, as of autopkgtest: 0 all tests passed, 2 a test was skipped or a flaky one failed, 4 a test failed, 6 both, 8 no test, or none that passed, 12 the package is erroneous, 14 that and a skipped test, 16 a testbed failed, or a driver that was started twice, 20 another failure. 2 also for a wrong call.',
    ],
    examples: [
      'virt-ts-unshare test -j 8 -o results mypackage_1.0.dsc -- --release trixie',
      'virt-ts-unshare test --test-name smoke --apt-upgrade . -- --release bookworm',
    ],
  },
  exec: {
    usage: ['virt-ts-unshare exec NAME|PID [OPTION]... [-- COMMAND [ARGUMENT]...]'],
    summary: 'run a command or a shell in an open testbed of this user',
    text: "Runs COMMAND (default: a shell) in an open testbed of this user, also in one that a driver opened. NAME is the name that --name gave it, or else its host name; PID is its pid 1 on the host, or the process that opened it. virt-ts-unshare ps lists them. Exits with the command's status.",
    examples: ['virt-ts-unshare exec mine', 'virt-ts-unshare exec mine --cwd /etc -- cat hostname'],
    notes: [NEEDS_MINE],
  },
  close: {
    usage: ['virt-ts-unshare close NAME|PID... [OPTION]...'],
    summary: 'close testbeds that run or shell opened',
    text: 'Closes testbeds of this user that run or shell opened, and returns when their processes, mounts and files are gone. Also removes the output that is kept of a detached command that has ended. A testbed that a driver, a library or a laboratory opened is not closed.',
    examples: ['virt-ts-unshare close mine'],
    notes: [NEEDS_MINE],
  },
  ps: {
    usage: ['virt-ts-unshare ps [OPTION]...'],
    summary: 'list the open testbeds of this user',
    text: 'Lists the open testbeds of this user, also those that a driver opened.',
    notes: [
      'With --json: an array of objects { pid, startTime, name, since, root, scratch, used, ownNetwork, owner, processes: [{ pid, command }] }; since is in milliseconds since 1970, used in bytes.',
    ],
    examples: ['virt-ts-unshare ps --processes'],
  },
  stats: {
    usage: ['virt-ts-unshare stats [NAME|PID]... [OPTION]...'],
    summary: 'show processes, memory and the size of what was written of open testbeds',
    text: 'Shows, for the open testbeds of this user or those that are named: the number of processes, their memory, and the size of the upper layer, which has what was written. A page of memory that several processes share counts once. A layer in memory is not part of MEMORY.',
    notes: [
      'With --json: an array of objects { name, pid, processes, memory, layer }; memory and layer are in bytes.',
    ],
    examples: ['virt-ts-unshare stats'],
  },
  logs: {
    usage: ['virt-ts-unshare logs NAME [OPTION]...'],
    summary: 'show the output of a command of run --detach',
    text: 'Shows what the command of run --detach has written to stdout and stderr. The last 4 to 8 MiB are kept, also when the command has ended, until close NAME, until another testbed gets the name, or until 20 other detached commands have ended.',
    examples: ['virt-ts-unshare logs mine', 'virt-ts-unshare logs --follow mine'],
    notes: [NEEDS_DETACHED],
  },
  cp: {
    usage: ['virt-ts-unshare cp SOURCE DESTINATION [OPTION]...'],
    summary: 'copy files and directories between the host and an open testbed',
    text: 'Copies a file or a directory from the host into an open testbed of this user, or from a testbed to the host. SOURCE or DESTINATION is NAME:PATH in the testbed, the other is a path of the host, or - for a tar archive on stdin or stdout. Into a directory that exists, SOURCE is copied by its last name, and DIR/. is the content of DIR.',
    notes: [
      'What comes out of a testbed is checked: a file that would be written elsewhere, a device, or a setuid file is refused, and of a directory nothing appears before all of it is checked. See docs/copying.md.',
      'Write ./a:b for a file of the host with a colon in its name.',
      NEEDS_MINE,
    ],
    examples: [
      'virt-ts-unshare cp mine:/etc/os-release .',
      'virt-ts-unshare cp os-release mine:/root/',
      'virt-ts-unshare cp mine:/etc - | tar --list >/dev/null',
    ],
  },
  commit: {
    usage: ['virt-ts-unshare commit TESTBED NAME [OPTION]...'],
    summary: 'make an image of an open testbed of this user',
    text: 'Makes an image NAME of what was written in an open testbed of this user, for --release NAME. TESTBED is its name, its pid 1 on the host, or the process that opened it; virt-ts-unshare ps lists them. The image is a layer over what the testbed was opened from. Replaces a committed image of that name. Prints the path of its record.',
    notes: [
      'The processes of the testbed are stopped while its files are copied, and then go on. The image has the files of one moment: a program that starts from it finds them as after a power failure.',
      'Not in the image: /dev, /run, /dev/shm, bound files, other mounts, /etc/hostname, /etc/hosts and /etc/resolv.conf, of which each testbed gets its own.',
    ],
    examples: [
      'virt-ts-unshare commit mine postgres',
      'virt-ts-unshare run --release postgres -- psql --version',
    ],
  },
  report: {
    usage: ['virt-ts-unshare report FILE|DIR [-o REPORT.html]'],
    summary: 'show where the time of a run went, its results, leaks and packages: as text, or as a page',
    text: 'Reads a FILE that --events wrote, or the output directory DIR of a driver with such a file in it (events.jsonl), and prints the tests and where the time went. With -o it writes a page of one file, which needs no network and no JavaScript: a timeline, results, output of failed tests, leaks, packages.',
    examples: ['virt-ts-unshare report out', 'virt-ts-unshare report out -o report.html'],
    notes: [
      'The examples need: autopkgtest PACKAGE --output-dir=out -- ts-unshare --events=out/events.jsonl',
    ],
  },
  compare: {
    usage: ['virt-ts-unshare compare A B [OPTION]...'],
    summary: 'name the results, durations and packages that differ between two runs',
    text: 'Compares two runs, each a file that --events wrote or the output directory of a driver: results, packages that were installed before each test, and durations. Without events, results and packages are those that the driver has recorded. Durations are equal when they differ by less than a quarter or half a second.',
    notes: ['Exit status: 0 if results and packages are equal, 1 if not, 2 for a wrong call.'],
    examples: ['virt-ts-unshare compare yesterday today'],
  },
  doctor: {
    usage: ['virt-ts-unshare doctor [OPTION]...'],
    summary: 'check what testbeds need of this machine, and name the remedy for what is missing',
    text: 'Checks on this machine what testbeds need, and prints what works, what does not work, and the remedy. Exits with 0 if the server will work, else with 1.',
    notes: ['With --json: one object { works, checks: [{ name, state, detail, remedy }] }.'],
    examples: ['virt-ts-unshare doctor'],
  },
  rootfs: {
    usage: ['virt-ts-unshare rootfs COMMAND [OPTION]...'],
    summary: 'list, build, update, import, remove, prune and verify root filesystems',
    text: 'Manages the root filesystems that testbeds start from: images (tarballs that were built or imported) and bases (unpacked tarballs).',
    commands: [
      ['list', 'list images and bases with their size, their last use and the processes that use them'],
      ['build [RELEASE]', "build the image of a release (default: the host's release)"],
      [
        'build NAME --from PARENT --run COMMAND...',
        'make an image: a layer over PARENT with what the commands wrote; without the options, make an image NAME again',
      ],
      ['update [NAME...]', 'build images again that were built before (default: all)'],
      [
        'import PATH|- NAME',
        'make an image of a tarball or of an image of a container (-: on stdin), or of a directory; replaces an imported image of that name',
      ],
      ['export NAME', 'write an image to stdout as a tar archive, all layers as one tree'],
      ['remove NAME|KEY...', 'remove images or bases'],
      ['prune', 'remove bases that were not used for long, and what crashes or rm -r left'],
      ['verify [KEY...]', 'compare bases with the tarballs that they came from (default: all)'],
    ],
    notes: [
      'Committed images, and the layers and bases that they lie over, are not pruned.',
      "NAME is RELEASE-ARCH, or RELEASE for the host's architecture. KEY is the start of a base's key.",
      'An image of a container is what docker save, podman save, skopeo copy … oci-archive:FILE, oci:DIR or docker-archive:FILE and umoci write; with FILE:TAG if there are several in it. Of its configuration the environment is kept, in /etc/environment.',
      'A base in use is never removed. The server uses an image that has the name of a release without further options.',
    ],
    examples: [
      'virt-ts-unshare rootfs build trixie',
      'virt-ts-unshare rootfs list',
      "virt-ts-unshare rootfs build postgres --from trixie --run 'apt-get update' --run 'apt-get install -y postgresql'",
      'virt-ts-unshare rootfs export postgres >postgres.tar',
      'virt-ts-unshare rootfs prune --max-age 7',
    ],
  },
  debci: {
    usage: ['virt-ts-unshare debci COMMAND [OPTION]...'],
    summary: "the backend for debci's workers",
    text: "Installs the backend ts_unshare of debci, so that debci's workers, debci setup and debci localtest use this program as an ordinary user (see docs/farm.md). Prints the path of the backend, and reports on stderr what the account of the workers lacks. The Debian package has the backend installed.",
    commands: [
      ['install', 'install the backend, or replace one that an older version installed'],
      ['remove', 'remove the backend'],
    ],
    examples: ['virt-ts-unshare debci install', 'debci setup --backend ts_unshare --suite trixie'],
  },
  lab: {
    usage: ['virt-ts-unshare lab COMMAND FILE [OPTION]...'],
    summary: 'laboratories: several testbeds with real addresses on networks of their own',
    text: 'Manages a laboratory: several testbeds with real addresses on networks of their own, as FILE describes them (see docs/networks.md).',
    commands: [
      ['up FILE', 'open all hosts and run their commands; returns when all of them are ready'],
      ['ps FILE', 'list the hosts, their addresses and whether they are open'],
      ['exec FILE HOST [COMMAND...]', "run a command or a shell on a host; exits with the command's status"],
      ['link FILE HOST up|down', "plug a host's cable in or out"],
      [
        'link FILE HOST QUALITY...',
        'set the quality of a link: latency=20ms loss=1% bandwidth=10mbit; without QUALITY remove all limits',
      ],
      ['cut FILE HOST...', 'split a network: these hosts reach each other, but no other host'],
      ['heal FILE', 'join a split network again'],
      ['down FILE', 'end the laboratory; returns when all of it is gone'],
      ['graph FILE', 'draw the laboratory'],
    ],
    examples: [
      "printf '%s\\n' 'networks: { lan: 10.1.0.0/24 }' 'hosts: { one: , two: }' >lab.yaml",
      'virt-ts-unshare lab up lab.yaml',
      'virt-ts-unshare lab exec lab.yaml one getent hosts two',
      'virt-ts-unshare lab down lab.yaml',
    ],
  },
};

export function verbs(): Verb[] {
  return Object.keys(PAGES).filter((name): name is Verb => name !== 'server');
}
