import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir } from '../../support/rootfs.ts';

function sourcesOf(folder: string): string {
  return readdirSync(join(projectDir, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
    .join('\n');
}

describe('docs/troubleshooting.md', () => {
  const sources = ['src', 'helper', 'bin'].map(sourcesOf).join('\n');
  const text = readFileSync(join(projectDir, 'docs/troubleshooting.md'), 'utf8');
  const sentences = [...text.matchAll(/^ {4}(.*)$/gm)].map(([, sentence = '']) => sentence);

  it('has sentences', () => assert.ok(sentences.length >= 10, String(sentences.length)));

  for (const sentence of sentences) {
    it(`quotes the program: ${sentence}`, () => {
      const parts = sentence.split(/<[^>]*>/).filter((part) => part.trim() !== '');
      assert.deepEqual(
        parts.filter((part) => !sources.includes(part.trim())),
        [],
      );
    });
  }
});
