/** Samples by figure and peer, and why a peer is missing. */
import { median, type Sample } from './statistics.ts';

/** The figures in the order of the table, with their meaning. */
export const FIGURES = {
  'first ok': 'start of the program to its first line',
  'first open': 'open with nothing in the cache, everything in memory',
  'first open, disk': 'the same on the disk',
  open: 'open with the tarball known',
  'run true': '`true` through the execute command',
  'run true in Node': "`true` by the library's run(), against Node's spawn of it on the host",
  'run true beside a daemon': 'the same while a daemon of an earlier command runs',
  revert: 'back to the state at open',
  'revert after a test': 'the same, when the next testbed was made ahead',
  close: 'until everything is gone',
  'start + true + exit': 'all of these, for tools without a server',
  'copydown 10,000 files': 'into the testbed, everything in memory',
  'copyup 10,000 files': 'out of it',
  'copydown 256 MiB': 'one file into the testbed',
  'copyup 256 MiB': 'one file out of it',
  'copydown 10,000 files, disk': "the same, with the host's files on its disk",
  'copyup 10,000 files, disk': 'out of it',
  'copydown 256 MiB, disk': 'one file into the testbed',
  'copyup 256 MiB, disk': 'one file out of it',
  'open in Node': "the library's open, after the first",
  snapshot: 'freeze the files, and go on over them',
  'open from a snapshot': 'a fork of it',
  'revert in Node': "the library's revert",
  'revert of a fork': 'back to the snapshot',
  'a test with PostgreSQL': 'a fork that has it installed, its start, a query, close',
  "PostgreSQL's own start and a query": 'what these take in a testbed that is open',
  'the same, installed by each test': 'a testbed without it, its installation, start, a query, close',
  '50 testbeds in Node: MiB for each': 'memory, all testbeds of one process',
  '50 forks in Node: MiB for each': 'the same, opened from one snapshot',
  'open, private network': 'as open, with outside access of its own',
  'close, private network': 'as close, with its helper',
  'lab up, each of 8 hosts': 'start of the program to its end, for each host',
  'lab down, each of 8 hosts': 'the same, until nothing is left',
  'open, booted': "until the image's systemd has started all of its services",
  'run true, booted': '`true` in it, now and then: each starts when the machine has been idle for a while',
  reboot: 'its services are stopped, and started again over the same files',
  'autopkgtest, 2 tests': 'autopkgtest from start to end; null is no isolation at all',
  'autopkgtest, 5 tests with dependencies':
    'the same, over an image that has the dependencies; null as root of the same root filesystem',
  'autopkgtest 6, 10 tests': 'a driver that reverts before each test; null cannot revert',
  '20 breaks-testbed tests': 'autopkgtest from start to end',
  '50 testbeds: open': 'median open with 50 servers started at once',
  '50 testbeds: MiB for each': 'memory: server, stage, holder, stubs (proportional set size)',
} as const;
export type Figure = keyof typeof FIGURES;

export function isFigure(name: string): name is Figure {
  return Object.hasOwn(FIGURES, name);
}

export interface Peer {
  readonly name: string;
  /** Why it is not measured here. */
  readonly missing?: string;
}

export class Results {
  readonly #samples = new Map<string, Map<Figure, Sample[]>>();
  readonly missing = new Map<string, string>();

  add(peer: string, figure: Figure, ...samples: Sample[]): void {
    const figures = this.#samples.get(peer) ?? new Map<Figure, Sample[]>();
    this.#samples.set(peer, figures);
    figures.set(figure, [...(figures.get(figure) ?? []), ...samples]);
  }

  get peers(): string[] {
    return [...this.#samples.keys()];
  }

  median(peer: string, figure: Figure): number | undefined {
    const samples = this.#samples.get(peer)?.get(figure);
    return samples === undefined ? undefined : median(samples);
  }

  toJSON(): unknown {
    const peers = Object.fromEntries(
      [...this.#samples].map(([peer, figures]) => [
        peer,
        Object.fromEntries(
          [...figures].map(([name, samples]) => [name, { median: median(samples), samples }]),
        ),
      ]),
    );
    return { peers, missing: Object.fromEntries(this.missing) };
  }
}
