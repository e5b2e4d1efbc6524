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
  'first open',
  'open',
  'run true',
  'revert',
  'close',
  'start + true + exit',
];

export async function writePlot(results: Results, path: string): Promise<void> {
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
    title: 'Milliseconds, medians of one run (logarithmic scale; shorter is better)',
    data: { values },
    facet: {
      row: {
        ...{ field: 'figure', type: 'nominal', title: null, sort: SHOWN.map(String) },
        header: { labelAngle: 0, labelAlign: 'left', labelFontWeight: 'bold' },
      },
    },
    spec: {
      width: 460,
      height: { step: 15 },
      encoding: { y: { ...y, axis: { ticks: false, domain: false, labelLimit: 200 } } },
      layer: [
        {
          mark: { type: 'bar', tooltip: true },
          encoding: {
            x: { ...x, scale: { type: 'log', domain: [FLOOR, CEILING], nice: false }, axis: null },
            // A logarithmic scale has no zero to begin at: without an explicit end, the bar has no width.
            x2: { datum: FLOOR },
            color: { condition: { test: `datum.peer == '${SELF}'`, value: '#c0392b' }, value: '#9aa5b1' },
          },
        },
        {
          mark: { type: 'text', align: 'left', dx: 3, fontSize: 10 },
          encoding: { x, text: { field: 'label', type: 'nominal' }, color: { value: '#444' } },
        },
      ],
    },
    resolve: { scale: { y: 'independent' } },
    spacing: 8,
    config: { background: 'white', view: { stroke: null } },
  };
  const view = new View(parse(compile(spec, { logger: logger(None) }).spec), { renderer: 'none' });
  writeFileSync(path, `${await view.toSVG()}\n`);
  view.finalize();
}
