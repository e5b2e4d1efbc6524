/** The examples of the documentation, pasted into a project that has this package. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { call, virt } from '../support/program.ts';
import { cacheOfReleases, projectDir } from '../support/rootfs.ts';
import { describeWithUsers } from '../support/skip.ts';

const TSX = `--import=file://${projectDir}node_modules/tsx/dist/loader.mjs`;
const MOCHA = `${projectDir}node_modules/mocha/bin/mocha.js`;

/** The blocks of TypeScript in a page. */
function examplesOf(page: string): string[] {
  const text = readFileSync(`${projectDir}${page}`, 'utf8');
  const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block = '']) => block);
  assert.ok(blocks.length > 0, `${page} has no example`);
  return blocks;
}

describeWithUsers('the examples of the documentation', function () {
  this.timeout(120_000);
  let folder: string;
  let env: Record<string, string>;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-docs-'));
    env = { XDG_CACHE_HOME: cacheOfReleases(folder) };
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(projectDir, join(folder, 'node_modules/virt-ts-unshare'));
    writeFileSync(join(folder, 'package.json'), '{ "name": "mine", "type": "module" }\n');
  });
  after(async () => {
    await virt(['rootfs', 'prune', '--max-age', '0'], { env });
    rmSync(folder, { recursive: true });
  });

  async function works(...argv: string[]): Promise<void> {
    const { status, stdout, stderr } = await call([process.execPath, ...argv], { cwd: folder, env });
    assert.equal(status, 0, stdout + stderr);
  }

  for (const page of [
    'README.md',
    'docs/library.md',
    'docs/networks.md',
    'docs/migration.md',
    'docs/install.md',
  ]) {
    for (const [index, text] of examplesOf(page).entries()) {
      it(`of ${page} work: ${index + 1}`, async () => {
        const file = `${page.replaceAll(/\W/g, '-')}-${index}.ts`;
        writeFileSync(join(folder, file), text);
        if (text.includes('mochaHooks')) {
          writeFileSync(
            join(folder, 'hooked.ts'),
            "it('has one', async function () { await this.testbed.run('true', { check: true }); });\n",
          );
          await works(MOCHA, TSX, '--require', `./${file}`, 'hooked.ts');
        } else if (/^(it|describe)\(/m.test(text)) {
          await works(MOCHA, TSX, file);
        } else {
          await works(TSX, file);
        }
      });
    }
  }
});
