import assert from 'node:assert/strict';
import type { Registered } from '../../../src/processes/open-testbeds.ts';
import { choose } from '../../../src/verbs/exec.ts';
import { age, table } from '../../../src/verbs/ps.ts';

describe('open testbeds', () => {
  const one: Registered = {
    ...{
      pid: 10,
      startTime: '5',
      name: 'a',
      since: 1000,
      root: '/r.tar',
      scratch: '',
      ownNetwork: false,
      owner: 9,
    },
  };

  it('are chosen by name, pid or owner, if that is one', () => {
    const other = { ...one, pid: 11, owner: 9 };
    assert.equal(choose('a', [one]), one);
    assert.equal(choose('11', [one, other]), other);
    assert.equal(choose('9', [one]), one);
    assert.throws(() => choose('a', [one, other]), /2 testbeds have the name a; give the pid of one: 10, 11/);
    assert.throws(() => choose('b', [one]), { code: 'NO_TESTBED' });
  });

  it('are a table', () => {
    const shown = [
      { ...one, used: 5 * 1024 ** 2, processes: [{ pid: 12, command: 'sleep 9' }] },
      { ...one, pid: 20, scratch: '/scratch', used: undefined, processes: [] },
    ];
    assert.equal(
      table(shown, 61_000, true),
      [
        'PID   NAME  AGE    SCRATCH   PROCESSES  ROOT FILESYSTEM',
        '10    a     1 min  5.0M      1          /r.tar',
        '  12  sleep 9',
        '20    a     1 min  /scratch  0          /r.tar',
        '',
      ].join('\n'),
    );
    assert.equal(
      table(
        [
          { ...one, init: '/sbin/init', used: 0, processes: [] },
          { ...one, used: 0, processes: [] },
        ],
        61_000,
        false,
      ),
      [
        'PID  NAME  AGE    SCRATCH  PROCESSES  INIT        ROOT FILESYSTEM',
        '10   a     1 min  0        0          /sbin/init  /r.tar',
        '10   a     1 min  0        0          -           /r.tar',
        '',
      ].join('\n'),
    );
    assert.equal(table([], 0, false), 'no testbed is open\n');
  });

  it('have an age in two units', () => {
    const ages = [0, 999, 59_000, 61_000, 3_600_000, 90_061_000].map(age);
    assert.deepEqual(ages, ['0 s', '0 s', '59 s', '1 min 1 s', '1 h', '1 d 1 h']);
  });
});
