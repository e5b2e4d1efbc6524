/** Source packages, built of mock packages by the host's dpkg. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, readdirSync } from 'node:fs';
import { scratchDir } from './autopkgtest.ts';
import { mockPackagesDir } from './mock-packages.ts';

/** Copies a mock package and builds it on the host. Gives the folder of the results, and the tree in it. */
export function buildOnHost(name: string, kind: 'source' | 'full'): { folder: string; tree: string } {
  const folder = scratchDir();
  const tree = `${folder}/tree`;
  cpSync(`${mockPackagesDir}/${name}`, tree, { recursive: true });
  const options = ['--no-sign', '--no-check-builddeps', ...(kind === 'source' ? ['--build=source'] : [])];
  execFileSync('dpkg-buildpackage', options, { cwd: tree, stdio: ['ignore', 'ignore', 'pipe'] });
  return { folder, tree };
}

/** The one file with that ending. */
export function fileIn(folder: string, ending: string): string {
  const name = readdirSync(folder).find((file) => file.endsWith(ending));
  assert.ok(name !== undefined, `no *${ending} among ${readdirSync(folder).join(' ')}`);
  return `${folder}/${name}`;
}
