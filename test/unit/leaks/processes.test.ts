import assert from 'node:assert/strict';
import { processesOf } from '../../../src/leaks/processes.ts';

describe('the processes of a testbed that has ended', () => {
  it('are none, and not those of other users', () => {
    assert.deepEqual(processesOf({ pid: 2 ** 22 + 1, insideUser: (uid) => uid }), []);
  });
});
