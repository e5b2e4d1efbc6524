import assert from 'node:assert/strict';
import { describeLeak } from '../../../src/leaks/report.ts';

describe('a leak', () => {
  it('is one line for a person', () => {
    assert.equal(
      describeLeak({ kind: 'file', path: '/tmp/x', type: 'link', uid: 5, gid: 5, size: 3 }),
      'link /tmp/x (uid 5)',
    );
    assert.equal(
      describeLeak({ kind: 'ipc', type: 'mqueue', id: '/q', uid: 0, size: 3 }),
      'POSIX message queue /q (uid 0)',
    );
    assert.equal(describeLeak({ kind: 'interface', name: 'eth0' }), 'network interface eth0');
  });
});
