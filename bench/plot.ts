/** The figures as a picture: one bar for each peer and figure, on a logarithmic scale of milliseconds. */
import { writeFileSync } from 'node:fs';
import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import { FIGURES, type Figure, type Results } from './results.ts';
import { short } from './statistics.ts';

/** Milliseconds at the left end of the scale. */
const FLOOR = 0.5;

const SHOWN: readonly Figure[] = [
  'first ok',
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
  const spec: TopLevelSpec = {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    title: 'Milliseconds, medians of one run (logarithmic scale; shorter is better)',
    width: 520,
    data: { values },
    encoding: {
      y: { field: 'figure', type: 'nominal', sort: Object.keys(FIGURES), title: null },
      yOffset: { field: 'peer', type: 'nominal' },
      color: { field: 'peer', type: 'nominal', title: null },
    },
    layer: [
      {
        mark: { type: 'bar', tooltip: true },
        encoding: {
          x: { ...x, scale: { type: 'log', domainMin: FLOOR }, title: 'ms' },
          // A logarithmic scale has no zero: without an explicit end, the bar has no width.
          x2: { datum: FLOOR },
        },
      },
      {
        mark: { type: 'text', align: 'left', dx: 3, fontSize: 9 },
        encoding: { x, text: { field: 'label', type: 'nominal' }, color: { value: '#555' } },
      },
    ],
    config: { background: 'white' },
  };
  const view = new View(parse(compile(spec).spec), { renderer: 'none' });
  writeFileSync(path, `${await view.toSVG()}\n`);
  view.finalize();
}
