/** Each command line of this program in README.md and docs/ is one that the program accepts. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import MarkdownIt from 'markdown-it';
import { sourcesIn } from '../../../site/pages.ts';
import type { Verb } from '../../../src/command-line/options/option.ts';
import { PAGES } from '../../../src/command-line/pages.ts';
import { parseWords } from '../../../src/command-line/parse.ts';
import { projectDir } from '../../support/rootfs.ts';

const isVerb = (word: string | undefined): word is Verb =>
  word !== undefined && word !== 'server' && word in PAGES;

/** The commands of this program in a line of shell, each as its words: what stands behind the program, or behind autopkgtest's `--`. */
function commandsIn(line: string): string[][] {
  const words = [...line.matchAll(/(?:'[^']*'|"(?:\\.|[^"])*"|[^\s|;&<>'"#])+|[|;&<>]+|#.*/g)].map(
    ([word]) => word,
  );
  return words.flatMap((word, index) => {
    const isServer = word === 'ts-unshare' && words[index - 1] === '--';
    if (!isServer && !/^([\w/$.]*\/)?virt-ts-unshare$/.test(word)) return [];
    const rest = words.slice(index + 1);
    const end = rest.findIndex((each) => /^([|;&<>]|#)/.test(each));
    const argv = end < 0 ? rest : rest.slice(0, end);
    return argv.length === 0 ? [] : [argv];
  });
}

/** Lines of shell in the blocks of code of a page, continued lines joined; of a transcript those that are typed and succeed. */
function linesIn(page: string): string[] {
  const text = readFileSync(`${projectDir}${page}`, 'utf8');
  return new MarkdownIt()
    .parse(text, {})
    .filter(({ type, info }) => type === 'code_block' || (type === 'fence' && info !== 'ts'))
    .flatMap(({ content, info }) => {
      const lines = content.replaceAll('\\\n', ' ').split('\n');
      return info === 'console' ? lines.filter((line) => line.startsWith('$ ')) : lines;
    })
    .filter((line) => !line.trim().startsWith('#') && !line.includes('; echo "status $?"'));
}

describe('command lines of the documents', () => {
  const found = sourcesIn(projectDir).flatMap((page) =>
    linesIn(page).flatMap((line) => commandsIn(line).map((words) => ({ page, words }))),
  );

  it('are many', () => assert.ok(found.length > 40, `${found.length}`));

  for (const { page, words } of found) {
    it(`${page}: ${words.join(' ')}`, () => {
      const [first, ...rest] = words;
      if (isVerb(first)) parseWords(first, rest);
      else if (!['VERB', '--help', '--version', '-V'].includes(first ?? '')) parseWords('server', words);
    });
  }
});
