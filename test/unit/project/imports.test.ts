import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../../../src', import.meta.url));

/**
 * From what is used to what uses it; a file may import from its own layer and from those before it. Files straight below
 * src are named, folders stand for all in them.
 */
const LAYERS: readonly (readonly string[])[] = [
  ['errors.ts', 'stderr.ts'],
  ['log.ts', 'option-words.ts', 'scarce.ts'],
  [
    'folders.ts',
    'helper.ts',
    'host.ts',
    'nearest.ts',
    'progress-line.ts',
    'random.ts',
    'sudo.ts',
    'scripts.ts',
    'tools.ts',
    'wait.ts',
  ],
  ['archive', 'processes'],
  ['namespaces'],
  ['rootfs', 'copy', 'network'],
  ['leaks'],
  ['events'],
  ['testbed', 'isolation'],
  ['protocol', 'lab', 'command-line', 'report'],
  ['test-runner'],
  ['preflight.ts', 'library', 'index.ts', 'doctor', 'verbs', 'verbs.ts', 'cli.ts'],
];

interface Import {
  readonly from: string;
  readonly to: string;
}

function typeScriptFiles(): string[] {
  return readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
}

/** Static and dynamic imports and exports-from of our own files, and of others by their name. */
function importsOf(file: string): Import[] {
  const text = readFileSync(join(source, file), 'utf8');
  const specifiers = [...text.matchAll(/(?:^(?:import|export)\b[^'"`;]*?|\bimport\()'([^']+)'/gm)].map(
    ([, to = '']) => to,
  );
  return specifiers.map((to) => ({
    from: file,
    to: to.startsWith('.') ? relative(source, join(source, dirname(file), to)) : to,
  }));
}

/** The imports from which a way leads back to the file that has them. */
function circles(imports: readonly Import[]): string[] {
  const leadsTo = (start: string) => {
    const reached = new Set([start]);
    for (const at of reached) for (const { from, to } of imports) if (from === at) reached.add(to);
    return reached;
  };
  return imports.filter(({ from, to }) => leadsTo(to).has(from)).map(({ from, to }) => `${from} → ${to}`);
}

function layerOf(file: string): number {
  const name = file.includes('/') ? file.slice(0, file.indexOf('/')) : file;
  return LAYERS.findIndex((layer) => layer.includes(name));
}

describe('imports', () => {
  const files = typeScriptFiles();
  const all = files.flatMap(importsOf);
  const own = all.filter(({ to }) => to.endsWith('.ts'));

  it('are found', () => {
    const has = (from: string, to: string) => all.some((each) => each.from === from && each.to === to);
    assert.ok(has('protocol/server.ts', 'errors.ts'));
    assert.ok(has('protocol/server.ts', 'split2'));
    assert.ok(has('cli.ts', 'testbed/provider.ts'), 'dynamic imports');
    assert.ok(own.length > files.length);
  });

  it('name files that are there, in a layer', () => {
    assert.deepEqual(
      own.filter(({ to }) => !existsSync(join(source, to))),
      [],
    );
    assert.deepEqual(
      files.filter((file) => layerOf(file) < 0),
      [],
    );
  });

  it('go one way', () => {
    assert.deepEqual(
      own.filter(({ from, to }) => layerOf(to) > layerOf(from)),
      [],
    );
  });

  it('form no circle between files, not of types either', () => {
    assert.deepEqual(circles(own), []);
  });

  it('would be seen in a circle', () => {
    const pairs = ['a b', 'b c', 'c b', 'c d', 'e e'].map((pair) => pair.split(' '));
    const imports = pairs.map(([from = '', to = '']) => ({ from, to }));
    assert.deepEqual(circles(imports), ['b → c', 'c → b', 'e → e']);
  });

  it('of errors and stderr are none of its own files, and of copying and root filesystems not each other', () => {
    assert.deepEqual(
      own.filter(({ from }) => layerOf(from) === 0),
      [],
    );
    const folders = own.map(({ from, to }) => `${from.split('/')[0]} ${to.split('/')[0]}`);
    assert.deepEqual(
      folders.filter((pair) => pair === 'copy rootfs' || pair === 'rootfs copy'),
      [],
    );
  });

  it('have few owners for each package', () => {
    const owners: Readonly<Record<string, readonly string[]>> = {
      execa: ['host.ts'],
      split2: ['library/line-log.ts', 'protocol/server.ts'],
    };
    for (const [name, allowed] of Object.entries(owners)) {
      assert.deepEqual(
        all
          .filter(({ to }) => to === name)
          .map(({ from }) => from)
          .sort(),
        allowed,
      );
    }
  });

  it('of what comes before the first ok are few', () => {
    // Every other file is loaded while the driver already has its line.
    const reached = new Set<string>();
    const visit = (file: string) => {
      if (reached.has(file)) return;
      reached.add(file);
      const text = readFileSync(join(source, file), 'utf8');
      for (const [, to = ''] of text.matchAll(/^(?:import|export)\b(?! type\b)[^'"`;(]*?'(\.[^']+)'/gm)) {
        visit(relative(source, join(source, dirname(file), to)));
      }
    };
    visit('cli.ts');
    assert.deepEqual(
      [...reached].filter((file) => /^(protocol|testbed|copy|verbs|leaks)\/|^host\.ts/.test(file)),
      [],
    );
  });
});
