/** CONTRIBUTING.md leads a reader to the right files: each room has a row, and each path exists. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir } from '../../support/rootfs.ts';

const text = readFileSync(join(projectDir, 'CONTRIBUTING.md'), 'utf8');

/** The paths of the project in a text, each in backquotes or in a block of code. */
function pathsIn(part: string): string[] {
  const paths = part.matchAll(/(?<![\w/.~-])(?:\.ci|src|helper|test|scripts|bin|docs|bench)\/[\w./-]*/g);
  return [...paths].map(([path]) => path.replace(/\.$/, ''));
}

/** The first cells of the rows of all tables. */
function firstCells(): string[] {
  return text.split('\n').flatMap((line) => /^\| ([^|]*) \|/.exec(line)?.[1] ?? []);
}

describe('CONTRIBUTING.md', () => {
  const rooms = firstCells().flatMap(pathsIn);

  it('has a row for each file and directory straight below src', () => {
    const there = readdirSync(join(projectDir, 'src')).map((name) => `src/${name}`);
    assert.deepEqual(rooms.filter((path) => path.startsWith('src/')).sort(), there.sort());
  });

  it('has a row for each file of helper', () => {
    const there = readdirSync(join(projectDir, 'helper')).map((name) => `helper/${name}`);
    assert.deepEqual(rooms.filter((path) => path.startsWith('helper/')).sort(), there.sort());
  });

  it('names paths that exist', () => {
    const paths = pathsIn(text).filter((path) => !path.includes('NAME'));
    assert.ok(paths.length > 100, `${paths.length}`);
    assert.deepEqual(
      paths.filter((path) => !existsSync(join(projectDir, path))),
      [],
    );
  });

  it('names each directory of unit and real tests', () => {
    const directories = ['test/unit', 'test/real'].flatMap((kind) =>
      readdirSync(join(projectDir, kind), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => `${kind}/${name}`),
    );
    const named = pathsIn(text);
    assert.deepEqual(
      directories.filter((path) => !named.some((each) => each === path || each.startsWith(`${path}/`))),
      [],
    );
  });

  it('is right that these directories are named as those of src', () => {
    const own = new Set([...readdirSync(join(projectDir, 'src')), 'helper', 'project']);
    const others = ['unit', 'real'].flatMap((kind) =>
      readdirSync(join(projectDir, 'test', kind), { withFileTypes: true })
        .filter((entry) => !own.has(entry.isDirectory() ? entry.name : entry.name.replace('.test.ts', '.ts')))
        .map(({ name }) => `${kind}/${name}`),
    );
    assert.deepEqual(others, []);
  });
});
