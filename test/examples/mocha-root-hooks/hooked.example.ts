import assert from 'node:assert/strict';
import './hooks.ts';

describe('with root hooks', () => {
  it('a test writes', async function () {
    await this.testbed?.run('echo mine >/etc/motd', { check: true });
  });

  it('and the next one does not see it', async function () {
    const found = await this.testbed?.run('grep mine /etc/motd');
    assert.equal(found?.stdout, '');
  });
});
