/** The Debian package depends on what the program starts, and names what is in it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HOST_TOOLS } from '../../../src/tools.ts';
import { projectDir } from '../../support/rootfs.ts';

const read = (name: string) => readFileSync(join(projectDir, name), 'utf8');

/** Packages that every Debian system has, on which no package depends. */
const ESSENTIAL = new Set(['coreutils', 'dash', 'findutils', 'gzip', 'tar', 'util-linux']);

/** The packages that a field names, without versions, substitutions and what stands behind a `|`. */
function field(name: string): string[] {
  const text = new RegExp(`^${name}:(.*(?:\\n .*)*)`, 'm').exec(read('debian/control'))?.[1] ?? '';
  const packages = text.split(',').map((each) => each.replace(/[(|].*/s, '').trim());
  return packages.filter((each) => each !== '' && !each.startsWith('$')).sort();
}

function packagesFor(...needs: string[]): string[] {
  const tools = HOST_TOOLS.filter((tool) => needs.includes(tool.need) && !ESSENTIAL.has(tool.package));
  return [...new Set(tools.map((tool) => tool.package))].sort();
}

describe('the Debian package', () => {
  it('depends on the Node that package.json wants, and on what no testbed with several users can be without', () => {
    const { engines }: { engines: { node: string } } = JSON.parse(read('package.json'));
    const version = engines.node.replace('>=', '');
    assert.match(read('debian/control'), new RegExp(`nodejs \\(>= ${version.replaceAll('.', '\\.')}\\)`));
    assert.deepEqual(field('Depends'), ['nodejs', ...packagesFor('always', 'essential', 'ranges')]);
  });

  it('recommends the programs of single features, and suggests those of rare compressions', () => {
    assert.deepEqual(field('Recommends'), packagesFor('feature', 'network'));
    assert.deepEqual(field('Suggests'), packagesFor('tarball'));
    for (const { package: name } of HOST_TOOLS.filter(({ need }) => need === 'substitute')) {
      assert.match(read('debian/control'), new RegExp(`\\| ${name}\\b`));
    }
  });

  it('names each npm package that is bundled, and no other', () => {
    const bundled = [...read('dist/third-party.txt').matchAll(/^## (\S+) \S+ \((\S+)\)$/gm)];
    assert.ok(bundled.length > 5);
    assert.deepEqual([...new Set(bundled.map(([, , licence]) => licence))].sort(), [
      'Apache-2.0',
      'ISC',
      'MIT',
    ]);
    const copyright = /Files: dist[\s\S]*?License:/.exec(read('debian/copyright'))?.[0] ?? '';
    const named = [...copyright.matchAll(/\(([^)]*)\)/g)].flatMap(([, names = '']) => names.split(', '));
    assert.deepEqual([...new Set(named)].sort(), [...new Set(bundled.map(([, name]) => name))].sort());
  });
});
