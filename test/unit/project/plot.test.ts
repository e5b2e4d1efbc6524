import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writePlot } from '../../../bench/plot.ts';
import { Results } from '../../../bench/results.ts';

describe('the plot of the bench', () => {
  it('has a bar with a width, and its figure as text, for each median', async () => {
    const results = new Results();
    const medians = {
      'virt-ts-unshare': [1.5, 36.6],
      schroot: [10.6, 123],
      'autopkgtest-virt-unshare': [46.2, 6269],
    };
    for (const [peer, [run = 0, open = 0]] of Object.entries(medians)) {
      results.add(peer, 'run true', run);
      results.add(peer, 'open', open);
    }
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-plot-'));
    try {
      await writePlot(results, join(folder, 'plot.svg'));
      const svg = readFileSync(join(folder, 'plot.svg'), 'utf8');
      const bars = [...svg.matchAll(/aria-roledescription="bar" d="M[^"]*?h([\d.]+)v/g)].map(([, width]) =>
        Number(width),
      );
      assert.equal(bars.length, 6);
      assert.ok(
        bars.every((width) => width > 10),
        bars.join(' '),
      );
      for (const text of ['1.50', '36.6', '10.6', '123', '46.2', '6269'])
        assert.ok(svg.includes(`>${text}</text>`), text);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
