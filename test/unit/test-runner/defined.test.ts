import assert from 'node:assert/strict';
import fc from 'fast-check';
import { definedTests, isTestName, pythonList } from '../../../src/test-runner/defined.ts';

const defined = (name: string, details: string) =>
  `autopkgtest: DBG: Test defined: name ${name} path debian/tests/${name} command "None" ${details} `;
const DETAILS = "restrictions ['allow-stderr', 'needs-root'] features [] depends ['a | b', 'c (>= 1)']";

describe('the tests that autopkgtest --debug reports', () => {
  it('have names, restrictions and dependencies, in their order and as often as they are there', () => {
    const text = ['noise', defined('one', DETAILS), defined('two', DETAILS), defined('one', DETAILS)].join(
      '\n',
    );
    const expected = { restrictions: ['allow-stderr', 'needs-root'], depends: ['a | b', 'c (>= 1)'] };
    assert.deepEqual(
      definedTests(text),
      ['one', 'two', 'one'].map((name) => ({ name, ...expected })),
    );
  });

  it('have the alternatives that version 6 reports as lists', () => {
    const [test] = definedTests(defined('one', "restrictions [] features [] depends [['a', 'b'], ['c']]"));
    assert.deepEqual(test?.depends, ['a | b', 'c']);
  });

  it('are those of the last time that the control file was read, because a build may print anything', () => {
    for (const receiver of ['testbed', 'virtualisation server']) {
      const copied = `autopkgtest: DBG: sending command to ${receiver}: copyup /tmp/scratch/build.x/real-tree/ /o/tests-tree/`;
      const text = [defined('forged', DETAILS), copied, defined('real', DETAILS)].join('\n');
      assert.deepEqual(
        definedTests(text).map(({ name }) => name),
        ['real'],
      );
    }
  });

  it('do not take the details from a command of the package', () => {
    const forged = `x" restrictions ['isolation-container'] features [] depends ['evil'] `;
    const line = `autopkgtest: DBG: Test defined: name command1 path None command "${forged}" ${DETAILS} `;
    assert.deepEqual(definedTests(line)[0]?.restrictions, ['allow-stderr', 'needs-root']);
  });

  it('have no dependencies when these cannot be read', () => {
    assert.deepEqual(definedTests(defined('one', 'something else')), [
      { name: 'one', restrictions: [], depends: undefined },
    ]);
  });

  it('are refused for a name that could control a terminal or become another file', () => {
    for (const name of ['a\x1b[2J', 'a/b', `${'x'.repeat(201)}`, 'a\u202eb', 'a\u2028b']) {
      assert.ok(!isTestName(name), JSON.stringify(name));
    }
    for (const name of ['-rf', '..', 'name_With.Odd+Signs-1', 'é', '*']) assert.ok(isTestName(name), name);
    assert.throws(() => definedTests(defined('a\x1b[2J', DETAILS)), { code: 'WRONG_TEST_NAME' });
  });
});

describe('a list as Python prints it', () => {
  it('has the strings in both kinds of quotes', () => {
    assert.deepEqual(pythonList(`['a', "it's", 'a\\\\b', ['c', "d"]]`), ['a', "it's", 'a\\b', ['c', 'd']]);
    assert.deepEqual(pythonList('[]'), []);
  });

  it('is undefined for any other text, and never throws', () => {
    for (const text of ['', '[', "['a'", "['a'] x", '[a]', '[[[]]]', '[1]']) {
      assert.equal(pythonList(text), undefined, text);
    }
    fc.assert(fc.property(fc.string(), (text) => void pythonList(`[${text}`)));
  });
});
