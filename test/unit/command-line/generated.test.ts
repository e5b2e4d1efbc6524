/** The manual pages and completions that the build makes of the table of options. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { completedOptions, owners, subCommands } from '../../../src/command-line/completion.ts';
import { bashCompletion } from '../../../src/command-line/completion-bash.ts';
import { fishCompletion } from '../../../src/command-line/completion-fish.ts';
import { zshCompletion } from '../../../src/command-line/completion-zsh.ts';
import { manualPages, verbsWithPages } from '../../../src/command-line/man.ts';
import { verbs } from '../../../src/command-line/pages.ts';
import { optionsOf } from '../../../src/command-line/table.ts';
import { projectDir } from '../../support/rootfs.ts';

const pages = manualPages({ version: '1.2.3', date: '2026-01-02' });
const plain = (text: string) => text.replaceAll('\\-', '-');

describe('the manual pages', () => {
  it('are one for the program, the server, and each verb with more than five options', () => {
    assert.deepEqual(
      [...pages.keys()],
      [
        ...['virt-ts-unshare.1', 'autopkgtest-virt-ts-unshare.1'],
        ...verbs()
          .filter((verb) => optionsOf(verb).length > 5)
          .map((verb) => `virt-ts-unshare-${verb}.1`),
      ],
    );
    assert.ok(verbsWithPages().includes('run'));
  });

  it('have each option of their call, with its values', () => {
    const main = plain(pages.get('virt-ts-unshare.1') ?? '');
    for (const owner of owners()) {
      const name = owner === 'server' ? 'autopkgtest-virt-ts-unshare.1' : `virt-ts-unshare-${owner}.1`;
      const text = plain(pages.get(name) ?? main);
      for (const { name: option, values } of optionsOf(owner)) {
        const [value] = values;
        assert.ok(text.includes(`--${option}`), `${owner} --${option}`);
        if (value !== undefined && !value.startsWith('['))
          assert.ok(text.includes(value), `${owner} ${value}`);
      }
    }
  });

  it('have the version and the date of the build', () => {
    for (const text of pages.values())
      assert.match(text, /^\.TH \S+ 1 2026-01-02 "virt-ts-unshare 1\.2\.3"/m);
  });
});

describe('the built files', () => {
  const built = (folder: string) =>
    new Map(
      readdirSync(`${projectDir}dist/${folder}`).map((name) => [
        name,
        readFileSync(`${projectDir}dist/${folder}/${name}`, 'utf8'),
      ]),
    );

  it('are those of the sources', () => {
    const { version } = JSON.parse(readFileSync(`${projectDir}package.json`, 'utf8'));
    const [, date = ''] = /^\.TH \S+ 1 (\S+)/m.exec(built('man').get('virt-ts-unshare.1') ?? '') ?? [];
    assert.deepEqual(built('man'), manualPages({ version, date }));
    assert.deepEqual(
      built('completions'),
      new Map([
        ['_virt-ts-unshare', zshCompletion()],
        ['virt-ts-unshare', bashCompletion()],
        ['virt-ts-unshare.fish', fishCompletion()],
      ]),
    );
  });
});

describe('the completions', () => {
  const files = { bash: bashCompletion(), zsh: zshCompletion(), fish: fishCompletion() };

  for (const [shell, text] of Object.entries(files)) {
    it(`of ${shell} have each option, verb and sub-command`, () => {
      for (const owner of owners()) {
        for (const { name } of completedOptions(owner)) {
          assert.ok(text.includes(shell === 'fish' ? `-l ${name}` : `--${name}`), `${owner} --${name}`);
        }
        for (const { name } of subCommands(owner)) assert.ok(text.includes(name), `${owner} ${name}`);
      }
    });
  }
});
