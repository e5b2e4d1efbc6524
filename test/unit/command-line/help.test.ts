import assert from 'node:assert/strict';
import type { Owner } from '../../../src/command-line/given.ts';
import { helpText } from '../../../src/command-line/help.ts';
import { PAGES } from '../../../src/command-line/pages.ts';
import { optionsOf } from '../../../src/command-line/table.ts';
import { VERBS } from '../../../src/verbs.ts';

describe('the text of --help', () => {
  const owners: readonly Owner[] = ['server', 'run', 'shell', 'exec', 'ps', 'doctor', 'rootfs', 'lab'];

  for (const owner of owners) {
    it(`of ${owner} has its options and fits a terminal`, () => {
      const text = helpText(owner);
      const shown = optionsOf(owner).filter(
        ({ group }) =>
          (owner !== 'run' && owner !== 'shell') || group === 'Command' || group === 'Other options',
      );
      for (const { name, short } of shown) {
        assert.match(
          text,
          new RegExp(`^  ${short === undefined ? '   ' : `-${short},`} --${name}\\b`, 'm'),
          name,
        );
      }
      const long = text.split('\n').filter((line) => line.length > 80);
      assert.ok(
        long.every((line) => PAGES[owner].examples.includes(line.trim()) || line.startsWith('  ')),
        text,
      );
      assert.doesNotMatch(text, /\n\n\n|undefined/);
    });
  }

  it('fits a narrow terminal, except words that cannot be broken', () => {
    const lines = helpText('server', 44).split('\n');
    const isLabel = (line: string) => /^ {2}\S|^ {5,6}(-\w, )?--|^Usage|^ {7}/.test(line);
    assert.deepEqual(
      lines.filter((line) => line.length > 44 && !isLabel(line)),
      [],
    );
    assert.equal(helpText('server', 400), helpText('server'));
  });

  it('lists every verb', () => {
    for (const verb of Object.keys(VERBS)) assert.match(helpText('server'), new RegExp(`^  ${verb} `, 'm'));
  });

  it('shows which commands of a verb have an option', () => {
    assert.match(helpText('rootfs'), /--max-age DAYS +prune: keep/);
    assert.doesNotMatch(helpText('rootfs'), /--debug +list/);
  });
});
