/** docs/comparison.md says what docs/benchmarks.md has measured, and names tests that exist. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir } from '../../support/rootfs.ts';

const read = (name: string) => readFileSync(join(projectDir, name), 'utf8');

/** The cells of each row of a table by the first one, and its head, whose first cell is not compared. */
function tableWith(text: string, column: string): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.startsWith('|') && line.includes(`| ${column} |`));
  const cells = (line = '') =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
  const [, ...head] = cells(lines[start]);
  const rows = lines.slice(start + 2);
  const end = rows.findIndex((line) => !line.startsWith('|'));
  return new Map(
    rows.slice(0, end).map((line) => {
      const [name = '', ...values] = cells(line);
      return [name, new Map(head.map((title, index) => [title, values[index] ?? '']))];
    }),
  );
}

describe('docs/comparison.md', () => {
  const page = read('docs/comparison.md');
  const times = tableWith(page, 'autopkgtest-virt-unshare');
  const measured = tableWith(read('docs/benchmarks.md'), 'autopkgtest-virt-unshare');

  for (const [figure, row] of times) {
    for (const [tool, text] of row) {
      if (text === '') continue;
      it(`has for ${figure} of ${tool} about what was measured`, () => {
        const ratio = Number(text) / Number.parseFloat(measured.get(figure)?.get(tool) ?? '');
        assert.ok(
          ratio > 1 / 1.5 && ratio < 1.5,
          `${text} is ${ratio.toFixed(2)} times what benchmarks.md has`,
        );
      });
    }
  }

  it('names tests that exist, with the number of each issue in it', () => {
    const rows = [...page.matchAll(/^\| \[(\S+) (\d+)\]\(\S+\) \|.*$/gm)];
    assert.ok(rows.length >= 6);
    for (const [row, tool = '', number = ''] of rows) {
      const [first = '', ...others] = [...row.matchAll(/`(test\/[^`]*)`/g)].map(([, path = '']) => path);
      for (const path of [first, ...others]) assert.ok(existsSync(join(projectDir, path)), path);
      if (tool === 'bubblewrap') assert.ok(read(first).includes(`${tool} ${number}:`), row);
    }
  });
});
