/** The printed tables: medians with ratios to this server, and bars with the measured ratios. */
import { FIGURES, type Figure, isFigure, type Results } from './results.ts';
import { markdownTable, short } from './statistics.ts';

export const SELF = 'virt-ts-unshare';
export const UNSHARE = 'autopkgtest-virt-unshare';
/** autopkgtest-virt-null: the host itself. */
export const NULL = 'autopkgtest-virt-null';
export const RAW = 'raw nsenter';
/** Node's own spawn of a program on the host, as a measure for the library's run(). */
export const SPAWN = 'spawn of true';

function figures(): Figure[] {
  return Object.keys(FIGURES).filter(isFigure);
}

/** Medians of every peer; in brackets the peer's median divided by that of this server. */
export function medianTable(results: Results): string {
  const peers = [SELF, ...results.peers.filter((name) => name !== SELF)];
  const rows = figures()
    .filter((figure) => peers.some((peer) => results.median(peer, figure) !== undefined))
    .map((figure) => {
      const own = results.median(SELF, figure);
      const cells = peers.map((peer) => {
        const value = results.median(peer, figure);
        if (value === undefined) return '';
        return peer === SELF || own === undefined ? short(value) : `${short(value)} (${short(value / own)}×)`;
      });
      return [figure, ...cells];
    });
  return markdownTable(['median, ms', ...peers], rows);
}

interface Bar {
  readonly what: string;
  readonly ratio: number | undefined;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export function barTable(results: Results): string {
  const ratio = (above: [string, Figure], below: [string, Figure]) => {
    const [a, b] = [results.median(...above), results.median(...below)];
    return a === undefined || b === undefined ? undefined : a / b;
  };
  const faster = (figure: Figure, atLeast: number): Bar => ({
    what: `${figure}: ${UNSHARE} / this server`,
    ratio: ratio([UNSHARE, figure], [SELF, figure]),
    atLeast,
  });
  const against = (figure: Figure, peer: string, other: Figure, atMost: number): Bar => ({
    what: `${figure}: this server / ${peer}${figure === other ? '' : ` ${other}`}`,
    ratio: ratio([SELF, figure], [peer, other]),
    atMost,
  });
  const forkOfItsOwn = ['snapshot', 'a test with PostgreSQL'] as const;
  const sumOf = (peer: string, parts: readonly Figure[]) =>
    parts.reduce((sum, figure) => sum + (results.median(peer, figure) ?? Number.NaN), 0);
  /** What a test waits for besides PostgreSQL, which takes the same time everywhere. */
  const besides = (peer: string) =>
    sumOf(peer, ['a test with PostgreSQL']) - sumOf(SELF, ["PostgreSQL's own start and a query"]);
  /** Milliseconds, or MiB. */
  const value = (what: string, figure: Figure, atMost: number): Bar => ({
    what,
    ratio: results.median(SELF, figure),
    atMost,
  });
  const bars: Bar[] = [
    faster('open', 50),
    faster('revert', 50),
    faster('run true', 10),
    against('run true', RAW, 'run true', 1),
    against('run true in Node', SPAWN, 'run true in Node', 2),
    faster('close', 10),
    {
      what: 'open: systemd-nspawn --volatile=overlay start / this server',
      ratio: ratio(['systemd-nspawn', 'start + true + exit'], [SELF, 'open']),
      atLeast: 1,
    },
    value('open, booted, ms', 'open, booted', 500),
    ...(['open, booted', 'reboot'] as const).flatMap((figure) =>
      ['systemd-nspawn', 'podman'].map((peer) => ({
        what: `${figure}: ${peer} / this server`,
        ratio: ratio([peer, figure], [SELF, figure]),
        atLeast: 2,
      })),
    ),
    against('autopkgtest, 2 tests', NULL, 'autopkgtest, 2 tests', 1.2),
    faster('autopkgtest, 2 tests', 3),
    against('autopkgtest, 5 tests with dependencies', NULL, 'autopkgtest, 5 tests with dependencies', 1.15),
    against('autopkgtest 6, 10 tests', NULL, 'autopkgtest 6, 10 tests', 2),
    faster('20 breaks-testbed tests', 5),
    faster('first open', 1),
    faster('first open, disk', 1),
    against('first ok', 'node -e 0', 'first ok', 1.2),
    against('open', 'bubblewrap', 'start + true + exit', 4),
    against('revert', 'bubblewrap', 'start + true + exit', 2),
    value('revert after a test, ms', 'revert after a test', 10),
    value('snapshot, ms', 'snapshot', 20),
    against('open from a snapshot', SELF, 'open in Node', 1.1),
    value('revert of a fork, ms', 'revert of a fork', 10),
    {
      what: 'a test with PostgreSQL: podman commit and run / snapshot and a fork',
      ratio: sumOf('podman', forkOfItsOwn) / sumOf(SELF, forkOfItsOwn),
      atLeast: 10,
    },
    {
      what: 'a test with PostgreSQL: podman run of a committed image / a fork',
      ratio: ratio(['podman', 'a test with PostgreSQL'], [SELF, 'a test with PostgreSQL']),
      atLeast: 10,
    },
    {
      what: "a test with PostgreSQL, without PostgreSQL's own time: podman run of a committed image / a fork",
      ratio: besides('podman') / besides(SELF),
      atLeast: 10,
    },
    {
      what: 'a test with PostgreSQL: installed by each test / a fork',
      ratio: ratio([SELF, 'the same, installed by each test'], [SELF, 'a test with PostgreSQL']),
      atLeast: 10,
    },
    against('50 forks in Node: MiB for each', SELF, '50 testbeds in Node: MiB for each', 1.05),
    ...(['copydown', 'copyup'] as const).flatMap((way) =>
      (['10,000 files', '256 MiB', '10,000 files, disk', '256 MiB, disk'] as const).map((what) =>
        faster(`${way} ${what}`, 1),
      ),
    ),
  ];
  const rows = bars.map((bar) => {
    const wanted = bar.atLeast === undefined ? `≤ ${bar.atMost}` : `≥ ${bar.atLeast}`;
    if (bar.ratio === undefined || Number.isNaN(bar.ratio)) return [bar.what, wanted, 'not measured', ''];
    const met = bar.atLeast === undefined ? bar.ratio <= (bar.atMost ?? 0) : bar.ratio >= bar.atLeast;
    return [bar.what, wanted, short(bar.ratio), met ? 'met' : 'not met'];
  });
  return markdownTable(['medians', 'wanted', 'measured', ''], rows);
}
