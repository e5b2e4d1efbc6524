/** The figures as a picture: one bar for each peer and figure, on a logarithmic scale of milliseconds. */
import { writeFileSync } from 'node:fs';
import { logger, None, parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import { SELF } from './report.ts';
import type { Figure, Results } from './results.ts';
import { short } from './statistics.ts';

/** Milliseconds at the left end of the scale. */
const FLOOR = 0.5;
/** And at its right end; more than any figure shown. */
const CEILING = 20_000;

const SHOWN: readonly Figure[] = [
  'autopkgtest, 2 tests',
  'autopkgtest, 5 tests with dependencies',
  'open',
  'run true',
  'revert',
  'close',
];

/** Pages are light or dark, and a picture in one does not know. */
const THEMES = {
  light: { background: '#ffffff', text: '#24292f', label: '#57606a', own: '#c0392b', other: '#9aa5b1' },
  dark: { background: '#0d1117', text: '#e6edf3', label: '#9da7b3', own: '#e5644f', other: '#57626e' },
} as const;

/** The path of the picture for dark pages. */
export function darkPath(path: string): string {
  return path.replace(/(\.svg)?$/, '-dark.svg');
}

/** Writes the picture, and beside it one for dark pages. */
export async function writePlot(results: Results, path: string): Promise<void> {
  await writeTheme(results, path, THEMES.light);
  await writeTheme(results, darkPath(path), THEMES.dark);
}

async function writeTheme(
  results: Results,
  path: string,
  { background, text, label, own, other }: (typeof THEMES)[keyof typeof THEMES],
): Promise<void> {
  const values = results.peers.flatMap((peer) =>
    SHOWN.flatMap((figure) => {
      const milliseconds = results.median(peer, figure);
      return milliseconds === undefined ? [] : [{ peer, figure, milliseconds, label: short(milliseconds) }];
    }),
  );
  const x = { field: 'milliseconds', type: 'quantitative' } as const;
  const y = { field: 'peer', type: 'nominal', title: null, sort: { field: 'milliseconds' } } as const;
  const spec: TopLevelSpec = {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    title: {
      text: 'Milliseconds (logarithmic scale; shorter is better)',
      anchor: 'start',
      color: text,
      fontSize: 12,
    },
    data: { values },
    facet: {
      row: {
        ...{ field: 'figure', type: 'nominal', title: null, sort: SHOWN.map(String) },
        header: {
          ...{ labelOrient: 'top', labelAnchor: 'start', labelFontWeight: 'bold', labelPadding: 2 },
          labelColor: text,
        },
      },
    },
    spec: {
      width: 260,
      height: { step: 15 },
      encoding: { y: { ...y, axis: { ticks: false, domain: false, labelLimit: 200, labelColor: text } } },
      layer: [
        {
          mark: { type: 'bar', tooltip: true },
          encoding: {
            x: { ...x, scale: { type: 'log', domain: [FLOOR, CEILING], nice: false }, axis: null },
            // A logarithmic scale has no zero to begin at: without an explicit end, the bar has no width.
            x2: { datum: FLOOR },
            color: { condition: { test: `datum.peer == '${SELF}'`, value: own }, value: other },
          },
        },
        {
          mark: { type: 'text', align: 'left', dx: 3, fontSize: 10 },
          encoding: { x, text: { field: 'label', type: 'nominal' }, color: { value: label } },
        },
      ],
    },
    resolve: { scale: { y: 'independent' } },
    spacing: 8,
    config: { background, view: { stroke: null } },
  };
  const view = new View(parse(compile(spec, { logger: logger(None) }).spec), { renderer: 'none' });
  writeFileSync(path, `${await view.toSVG()}\n`);
  view.finalize();
}
