import assert from 'node:assert/strict';
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { mockPackagesDir, readManifest } from '../../support/mock-packages.ts';

interface Stanza {
  readonly [field: string]: string;
}

/** The stanzas of a deb822 file; enough of the format for our own packages. */
function stanzas(path: string): Stanza[] {
  const texts = readFileSync(path, 'utf8').trim().split(/\n\n+/);
  return texts.map((text) => {
    const fields = text.split('\n').filter((line) => /^[A-Z]/.test(line));
    return Object.fromEntries(
      fields.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
    );
  });
}

/** The tests that a package declares: names of scripts, and names of commands. */
function declaredTests(folder: string) {
  const scripts: string[] = [];
  const commands: string[] = [];
  for (const stanza of stanzas(`${folder}/debian/tests/control`)) {
    scripts.push(...(stanza.Tests?.split(/[,\s]+/) ?? []));
    if (stanza['Test-Command'] !== undefined) {
      commands.push(/test-name=(\S+)/.exec(stanza.Features ?? '')?.[1] ?? 'command without a name');
    }
  }
  return { scripts, commands };
}

/** What autopkgtest(1) says its exit status is for these results. */
function statusOf(results: readonly string[]): number {
  const some = (word: string) => results.some((result) => result.startsWith(word));
  const skipped = some('SKIP') || some('FLAKY') ? 2 : 0;
  if (some('FAIL badpkg')) return 12 | skipped;
  if (some('FAIL')) return 4 | skipped;
  return some('PASS') ? skipped : 8;
}

describe('mock packages', () => {
  const manifest = readManifest();

  it('are those of the manifest', () => {
    const folders = readdirSync(mockPackagesDir, { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    );
    assert.deepEqual(manifest.map((entry) => entry.package).sort(), folders.map(({ name }) => name).sort());
  });

  for (const entry of manifest) {
    const folder = `${mockPackagesDir}/${entry.package}`;

    describe(entry.package, () => {
      it('has the tests that the manifest expects a result of', () => {
        const { scripts, commands } = declaredTests(folder);
        assert.deepEqual(Object.keys(entry.tests).sort(), [...scripts, ...commands].sort());
        for (const script of scripts) accessSync(`${folder}/debian/tests/${script}`, constants.X_OK);
      });

      it('expects the exit status that belongs to these results', () => {
        assert.equal(entry.status, statusOf(Object.values(entry.tests)));
      });

      it('is a native source package of its own name', () => {
        const [source, binary] = stanzas(`${folder}/debian/control`);
        assert.equal(source?.Source, `mock-${entry.package}`);
        assert.equal(binary?.Package, `mock-${entry.package}`);
        assert.equal(readFileSync(`${folder}/debian/source/format`, 'utf8'), '3.0 (native)\n');
        assert.match(readFileSync(`${folder}/debian/changelog`, 'utf8'), /^mock-[a-z-]+ \(1\.0\) /);
        accessSync(`${folder}/debian/rules`, constants.X_OK);
      });
    });
  }
});
