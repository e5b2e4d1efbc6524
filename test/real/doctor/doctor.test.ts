import assert from 'node:assert/strict';
import { call, PROGRAM, virt } from '../../support/program.ts';

interface Told {
  works: boolean;
  checks: { name: string; state: string; detail: string; remedy?: string }[];
}

describe('doctor', function () {
  this.timeout(60_000);

  it('finds that the server works on this machine, and changes nothing', async () => {
    const { stdout, stderr, status } = await virt(['doctor']);
    assert.match(stdout, /^ok +a \/proc of its own/m);
    assert.match(stdout, /\n\nThe server will work\.\n$/);
    assert.deepEqual([stderr, status], ['', 0]);
  });

  it('gives the same as JSON', async () => {
    const { stdout } = await virt(['doctor', '--json']);
    const told: Told = JSON.parse(stdout);
    assert.equal(told.works, true);
    assert.ok(told.checks.length > 10);
  });

  it('names the remedy where user namespaces are really taken away', async () => {
    const { stdout, status } = await call([
      ...(['unshare', '--user', '--map-root-user', 'sh', '-c'] as const),
      'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"',
      ...['sh', process.execPath, PROGRAM, 'doctor', '--json'],
    ]);
    const told: Told = JSON.parse(stdout);
    assert.equal(told.works, false);
    const check = told.checks.find(({ name }) => name === 'user namespaces');
    assert.equal(check?.state, 'fails');
    assert.match(check?.remedy ?? '', /sysctl -w user\.max_user_namespaces=15000/);
    assert.equal(status, 1);
  });

  it('shows an example', async () => {
    const { stdout } = await virt(['doctor', '--help']);
    assert.match(stdout, /Example:\n {2}virt-ts-unshare doctor\n/);
  });
});
