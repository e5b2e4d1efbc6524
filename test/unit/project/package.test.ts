/** The package for npm has what the program needs at run time. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir } from '../../support/rootfs.ts';

const described: { files: string[]; bin: Record<string, string> } = JSON.parse(
  readFileSync(join(projectDir, 'package.json'), 'utf8'),
);

describe('the package', function () {
  this.timeout(60_000);
  let files: Set<string>;

  before(() => {
    const argv = ['pack', '--dry-run', '--json', '--ignore-scripts', '--offline'];
    const packed: [{ files: { path: string }[] }] = JSON.parse(
      execFileSync('npm', argv, { cwd: projectDir, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    );
    files = new Set(packed[0].files.map(({ path }) => path));
  });

  const missing = (wanted: readonly string[]) => wanted.filter((path) => !files.has(path));

  it('has the programs, the library and the helper', () => {
    // npm leaves symbolic links out of a package.
    const programs = Object.values(described.bin);
    assert.equal(programs.length, 2);
    const built = ['dist/cli.cjs', 'dist/index.js', 'dist/types/index.d.ts', `dist/helper-${process.arch}`];
    assert.deepEqual(missing([...programs, 'bin/loader.js', 'bin/package.json', ...built]), []);
  });

  it('has each script that is read when the program runs', () => {
    const scripts = readdirSync(join(projectDir, 'src'), { recursive: true, encoding: 'utf8' });
    assert.deepEqual(
      missing(scripts.filter((name) => name.endsWith('.sh')).map((name) => `src/${name}`)),
      [],
    );
  });

  it('has the sources of the helper', () => {
    assert.deepEqual(missing(readdirSync(join(projectDir, 'helper')).map((name) => `helper/${name}`)), []);
  });

  it('has no compiled form of the program, which fits one Node.js only', () => {
    const built = readdirSync(join(projectDir, 'dist/chunks')).filter((name) => name.endsWith('.cache'));
    assert.notDeepEqual(built, []);
    assert.deepEqual(
      [...files].filter((path) => path.endsWith('.cache')),
      [],
    );
  });

  it('lists nothing that does not exist', () => {
    const empty = (entry: string) =>
      !entry.startsWith('!') && ![...files].some((path) => path === entry || path.startsWith(`${entry}/`));
    assert.deepEqual(described.files.filter(empty), []);
  });
});
