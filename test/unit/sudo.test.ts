import assert from 'node:assert/strict';
import { sudoCaller } from '../../src/sudo.ts';

describe('sudo', () => {
  it('names its caller', () => {
    const env = { SUDO_UID: '1000', SUDO_GID: '1001', SUDO_USER: 'anna' };
    assert.deepEqual(sudoCaller(env), { uid: 1000, gid: 1001, name: 'anna' });
  });

  it('gives no user where root called it, or the variables were changed', () => {
    for (const env of [
      {},
      { SUDO_UID: '0', SUDO_GID: '0' },
      { SUDO_UID: '-1', SUDO_GID: '1' },
      { SUDO_UID: '5' },
    ]) {
      assert.equal(sudoCaller(env), undefined);
    }
  });
});
