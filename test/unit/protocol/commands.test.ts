import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { COMMANDS } from '../../../src/protocol/commands.ts';

describe('protocol.md', () => {
  const text = readFileSync(new URL('../../../protocol.md', import.meta.url), 'utf8');
  const commands = text.slice(text.indexOf('\n## Commands\n'));
  const sections = commands.split('\n### ').slice(1);

  it('has one section for each command of the table, in the same words', () => {
    const named = sections.map((section) => section.slice(0, section.indexOf('\n')));
    assert.deepEqual(named.toSorted(), Object.keys(COMMANDS).toSorted());
  });

  for (const [name, { usage, state }] of Object.entries(COMMANDS)) {
    const section = sections.find((each) => each.startsWith(`${name}\n`)) ?? '';

    it(`${name}: shows its words`, () => {
      if (usage !== '') assert.ok(section.includes(`\n    ${name} ${usage}\n`), section);
      else assert.doesNotMatch(section, /^ {4}/m);
    });

    it(`${name}: names the state that it needs`, () => {
      const told = { any: /\b[Aa]ny state\b/, closed: /\bState Closed\b/, open: /\bState Open\b/ }[state];
      assert.match(section, told);
    });
  }
});
