import assert from 'node:assert/strict';
import {
  calling,
  formatSummary,
  parseSummary,
  statusOf,
  type TestResult,
  withoutRepetition,
} from '../../../src/test-runner/results.ts';

const result = (outcome: TestResult['outcome'], reason = ''): TestResult => ({
  ...{ name: 'one', outcome, reason, more: [] },
});

describe('a summary of autopkgtest', () => {
  const text = [
    'installed            PASS',
    'a-name-that-is-longer-than-twenty FAIL stderr: FAIL: a complaint',
    'impossible           FAIL badpkg',
    'blame: mock-depends',
    'badpkg: Test dependencies are unsatisfiable.',
    'superficial          PASS (superficial)',
    'testbed failure: testbed auxverb failed with exit code 255',
    '',
  ].join('\n');

  it('is written as it was read', () => {
    assert.equal(formatSummary(parseSummary(text)), text);
  });

  it('has results, what belongs to them, and lines about the run', () => {
    const { results, notes } = parseSummary(text);
    assert.deepEqual(
      results.map(({ name, outcome }) => `${name} ${outcome}`),
      ['installed PASS', 'a-name-that-is-longer-than-twenty FAIL', 'impossible FAIL', 'superficial PASS'],
    );
    assert.equal(results[2]?.more.length, 2);
    assert.deepEqual(notes, ['testbed failure: testbed auxverb failed with exit code 255']);
  });

  it('blames the package as the user calls it', () => {
    const shown = 'one PASS\nblame: deb:x /tmp/drivers/tree\nbadpkg: /tmp/drivers/tree is bad\n';
    const { results } = calling(parseSummary(shown), { from: '/tmp/drivers/tree', to: './package' });
    assert.deepEqual(results[0]?.more, ['blame: deb:x ./package', 'badpkg: /tmp/drivers/tree is bad']);
  });

  it('has each skipped test once, though the driver reports them twice', () => {
    const [one, other] = [result('SKIP', 'a'), { ...result('SKIP', 'b'), name: 'other' }];
    assert.deepEqual(withoutRepetition([one, other, one, other]), [one, other]);
    assert.deepEqual(withoutRepetition([one, other]), [one, other]);
    assert.deepEqual(withoutRepetition([]), []);
  });
});

describe('the exit status', () => {
  const cases: readonly (readonly [number, readonly TestResult[]])[] = [
    [0, [result('PASS'), result('PASS', '(superficial)')]],
    [2, [result('PASS'), result('SKIP')]],
    [2, [result('PASS'), result('FLAKY')]],
    [4, [result('PASS'), result('FAIL', 'non-zero exit status 1')]],
    [6, [result('SKIP'), result('FAIL', 'timed out')]],
    [8, []],
    [8, [result('SKIP')]],
    [8, [result('PASS', '(superficial)')]],
    [12, [result('PASS'), result('FAIL', 'badpkg')]],
    [14, [result('SKIP'), result('FAIL', 'badpkg')]],
  ];
  for (const [status, results] of cases) {
    const words = results.map(({ outcome, reason }) => `${outcome} ${reason}`.trim()).join(', ');
    it(`of ${words || 'no test'} is ${status}`, () => {
      assert.equal(statusOf(results), status);
    });
  }
});
