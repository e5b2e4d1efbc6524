/** The figures as a picture: one bar for each peer and figure, on a logarithmic scale of milliseconds. */
import { writeFileSync } from 'node:fs';
import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import { FIGURES, type Figure, type Results } from './results.ts';

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
      return milliseconds === undefined ? [] : [{ peer, figure, milliseconds }];
    }),
  );
  const spec: TopLevelSpec = {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    title: 'Milliseconds, medians of one run (logarithmic; shorter is better)',
    width: 520,
    data: { values },
    mark: { type: 'bar', tooltip: true },
    encoding: {
      y: { field: 'figure', type: 'nominal', sort: Object.keys(FIGURES), title: null },
      yOffset: { field: 'peer', type: 'nominal' },
      x: { field: 'milliseconds', type: 'quantitative', scale: { type: 'log', domainMin: 0.5 }, title: 'ms' },
      color: { field: 'peer', type: 'nominal', title: null },
    },
    config: { background: 'white' },
  };
  const view = new View(parse(compile(spec).spec), { renderer: 'none' });
  writeFileSync(path, `${await view.toSVG()}\n`);
  view.finalize();
}
