import assert from 'node:assert/strict';
import './hooks.ts';

describe('with root hooks', () => {
  it('a test writes', async function () {
    await this.testbed?.run('echo mine >>/etc/motd', { check: true });
  });

  it('and the next one sees only what was prepared', async function () {
    const found = await this.testbed?.run('cat /srv/prepared; grep -e mine -e prepared /etc/motd');
    assert.equal(found?.stdout, 'prepared\nprepared\n');
  });
});
