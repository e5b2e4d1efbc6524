/** Versions, change logs and the workflow that publishes agree with each other. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { projectDir } from '../../support/rootfs.ts';

const read = (...path: string[]) => readFileSync(join(...path), 'utf8');

/** The first versions that the three files name. */
function versions(directory: string): [unknown, string | undefined, string | undefined] {
  return [
    JSON.parse(read(directory, 'package.json')).version,
    /^## (\S+)$/m.exec(read(directory, 'CHANGELOG.md'))?.[1],
    /^virt-ts-unshare \((\S+)\) /.exec(read(directory, 'debian/changelog'))?.[1],
  ];
}

describe('a release', function () {
  this.timeout(60_000);

  it('has one version in package.json, CHANGELOG.md and debian/changelog', () => {
    const [version, ...others] = versions(projectDir);
    assert.deepEqual(others, [version, version]);
  });

  it('is prepared by npm run version, which moves the sentences of .changeset to both change logs', () => {
    const copy = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-release-'));
    try {
      const names = ['package.json', 'package-lock.json', 'CHANGELOG.md', 'debian', 'scripts', '.changeset'];
      for (const name of names) cpSync(join(projectDir, name), join(copy, name), { recursive: true });
      symlinkSync(join(projectDir, 'node_modules'), join(copy, 'node_modules'));
      const sentence = 'What happens: a user notices it, and reads a sentence that is longer than one line.';
      writeFileSync(join(copy, '.changeset/one.md'), `---\n'virt-ts-unshare': major\n---\n\n${sentence}\n`);
      const { status, stdout, stderr } = spawnSync('npm', ['run', 'version'], {
        cwd: copy,
        encoding: 'utf8',
      });
      assert.equal(status, 0, stdout + stderr);
      const [version, ...others] = versions(copy);
      assert.ok(version !== versions(projectDir)[0]);
      assert.deepEqual(others, [version, version]);
      assert.match(read(copy, 'CHANGELOG.md').replace(/\s+/g, ' '), new RegExp(sentence));
      const debian = read(copy, 'debian/changelog');
      assert.match(debian.replace(/\s+/g, ' '), new RegExp(sentence));
      assert.deepEqual(
        debian.split('\n').filter((line) => line.length > 80 && !line.startsWith(' -- ')),
        [],
      );
      const parsed = spawnSync('dpkg-parsechangelog', ['--show-field', 'Version'], {
        cwd: copy,
        encoding: 'utf8',
      });
      assert.equal(parsed.stdout, `${version}\n`, parsed.stderr);
      assert.deepEqual(
        readdirSync(join(copy, '.changeset')).filter((name) => name === 'one.md'),
        [],
      );
    } finally {
      rmSync(copy, { recursive: true });
    }
  });

  it('publishes each package with its provenance', () => {
    const workflow: unknown = parse(read(projectDir, '.github/workflows/publish.yml'));
    const text = JSON.stringify(workflow);
    assert.match(text, /"id-token":"write"/);
    assert.match(text, /npm publish --provenance --access public/);
    const architectures = [
      ...read(projectDir, 'scripts/npm-packages.js').matchAll(/^ {2}(\w+): \{ prefix/gm),
    ];
    assert.ok(architectures.length > 1);
    for (const [, arch] of architectures) assert.ok(text.includes(` linux-${arch} `), `${arch}`);
  });
});
