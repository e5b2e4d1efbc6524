/** CVE-2026-30892: users whose text could be read as another number than it says. */
import assert from 'node:assert/strict';
import { forEachCaller } from './each.ts';
import { some } from './tally.ts';

const USERS = [
  ...['0x0', '-1', '-0', '+0', '4294967295', '4294967296', '18446744073709551616', '65536', ':0'],
  ...['root:x', '0:x', '0:-1', '0:4294967295', '1:0:0', '0 ', ' 0', ' ', '\t', 'root\n', 'root '],
  ...['\u001b[2J', '..', '/', '$(id)', '1e0', '0.0', '٠'],
];

forEachCaller('the user of a command', [], (caller, scene) => {
  it('is the one that is named, or there is none', async () => {
    const { world, canaries } = scene;
    for (const user of some(USERS, 3)) {
      const { status, stdout, stderr } = await world.run(caller, 'id', { options: [`--user=${user}`] });
      const what = `${JSON.stringify(user)}: ${status} ${stdout}${stderr}`;
      assert.ok(status === 255 || status === 2, what);
      assert.match(stderr, /it has no (user|group|ids)|no ids but root's|--user needs/, what);
      // Nothing of it reaches the terminal of the caller as control characters.
      assert.doesNotMatch(stderr, /(?!\n)\p{Cc}/u, what);
      await canaries.check([stdout, stderr]);
    }
  });

  it('is root where root is named', async () => {
    const { stdout } = await scene.world.run(caller, 'id -u', { options: ['--user', '0'] });
    assert.equal(stdout, '0\n');
  });
});
