import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Queue } from '../../../src/test-runner/queue.ts';
import { selectTests } from '../../../src/test-runner/selection.ts';
import {
  commonDepends,
  nextShare,
  type Setting,
  type Unit,
  unitsOf,
} from '../../../src/test-runner/shares.ts';

const GIVEN: Setting = { network: 'given', prepared: false };
const units = (count: number, setting = GIVEN): Unit[] =>
  Array.from({ length: count }, (_, position) => ({ name: `t${position}`, position, count: 1, setting }));
const names = (all: readonly Unit[]) => all.map(({ name }) => name);
const depends = (...lists: string[][]) => lists.map((list) => ({ depends: list }));

describe('the share of a driver', () => {
  it('is a part of the tests when nothing is known, and equal for tests that take the same time', () => {
    assert.equal(nextShare(units(40), 8, []).length, 3);
    assert.equal(nextShare(units(16), 8, [2000, 2000, 2000]).length, 2);
  });

  it('is smaller when the tests differ in time', () => {
    const times = [100, 100, 9000];
    assert.ok(nextShare(units(40), 4, times).length < nextShare(units(40), 4, [5, 5, 5]).length);
  });

  it('has only tests of one setting', () => {
    const mixed = [
      ...units(1),
      { ...units(1, { network: 'private', prepared: false })[0], name: 'p' } as Unit,
    ];
    assert.deepEqual(names(nextShare(mixed, 1, [])), ['t0']);
  });

  it('has all tests of one name', () => {
    const test = (name: string) => ({ name, restrictions: [], depends: [] });
    const all = unitsOf([test('a'), test('b'), test('a')], () => GIVEN);
    assert.deepEqual(
      all.map(({ name, count }) => [name, count]),
      [
        ['a', 2],
        ['b', 1],
      ],
    );
  });

  it('together: each test is in one share, in their order', () => {
    fc.assert(
      fc.property(
        fc.nat(60),
        fc.integer({ min: 1, max: 9 }),
        fc.array(fc.nat(9999)),
        (count, jobs, times) => {
          const queue = new Queue(units(count));
          const taken: string[] = [];
          while (!queue.isEmpty) taken.push(...names(queue.take(jobs, times)));
          assert.deepEqual(taken, names(units(count)));
        },
      ),
    );
  });
});

describe('the dependencies that are installed once', () => {
  it('are those that save most', () => {
    assert.deepEqual(commonDepends(depends(['a', 'b'], ['a', 'b', 'c'], ['a', 'b', 'd'], ['e'], [])), [
      'a',
      'b',
    ]);
    assert.deepEqual(commonDepends(depends(['a'], ['a', 'b', 'c'], ['a', 'b', 'c'])), ['a', 'b', 'c']);
  });

  it('are none when no two tests have some in common', () => {
    assert.deepEqual(commonDepends(depends(['a'], ['b'], [])), []);
    assert.deepEqual(commonDepends([{ depends: undefined }]), []);
    assert.deepEqual(commonDepends([]), []);
  });
});

describe('tests without a result when their driver has ended', () => {
  it('are run again, that at which it was alone and first', () => {
    const queue = new Queue(units(3));
    const share = queue.take(1, [1, 1]);
    assert.equal(share.length, 3);
    const end = { complete: new Set(['t0']), current: 't1', mayRetry: true };
    assert.deepEqual(names(queue.ended(share, end).again), ['t1', 't2']);
    assert.deepEqual(names(queue.take(1, [1, 1])), ['t1']);
    assert.deepEqual(names(queue.take(1, [1, 1])), ['t2']);
  });

  it('are given up when the second driver ended at them too, and others are not', () => {
    const queue = new Queue(units(2));
    const share = queue.take(1, [1, 1]);
    queue.ended(share, { complete: new Set(), current: 't0', mayRetry: true });
    const second = queue.take(1, [1, 1]);
    assert.deepEqual(
      names(queue.ended(second, { complete: new Set(), current: 't0', mayRetry: true }).lost),
      ['t0'],
    );
    assert.deepEqual(names(queue.take(1, [1, 1])), ['t1']);
    assert.ok(queue.isEmpty);
  });

  it('are given up at once when another attempt would end the same way', () => {
    const queue = new Queue(units(2));
    const share = queue.take(1, [1, 1]);
    const { again, lost } = queue.ended(share, { complete: new Set(), current: 't0', mayRetry: false });
    assert.deepEqual([names(again), names(lost)], [['t1'], ['t0']]);
  });
});

describe('the selection of tests', () => {
  const test = (name: string, ...restrictions: string[]) => ({ name, restrictions, depends: [] });
  const skip = (name: string) => ({ name, outcome: 'SKIP', reason: 'why', more: [] }) as const;
  const tests = [test('a'), test('b', 'isolation-container'), test('c', 'isolation-machine'), test('d')];
  const choice = { tests, skipped: [skip('b'), skip('c')], only: [], without: [] };

  it('gives a network of their own to those that are skipped without one', () => {
    const { run, skipped } = selectTests({ ...choice, privateNetworks: true });
    assert.deepEqual(
      run.map(({ name, network }) => `${name} ${network}`),
      ['a given', 'b private', 'd given'],
    );
    assert.deepEqual(skipped, [skip('c')]);
  });

  it('leaves them skipped where there is none', () => {
    const { run, skipped } = selectTests({ ...choice, privateNetworks: false });
    assert.deepEqual(
      run.map(({ name }) => name),
      ['a', 'd'],
    );
    assert.equal(skipped.length, 2);
  });

  it('has only the named ones, without others', () => {
    const run = (only: string[], without: string[]) =>
      selectTests({ ...choice, only, without, privateNetworks: false }).run.map(({ name }) => name);
    assert.deepEqual(run(['d', 'x'], []), ['d']);
    assert.deepEqual(run([], ['a']), ['d']);
  });
});
