/** CVE-2019-5736: the program that enters a container is written to from inside, through /proc/PID/exe. */
import assert from 'node:assert/strict';
import { forEachCaller } from './each.ts';
import { ROUNDS } from './tally.ts';
import { command } from './world.ts';

forEachCaller('our own program', ['thief'], (caller, scene) => {
  it('is never open for writing while commands run', async () => {
    const { world, canaries } = scene;
    const commands = 20 * ROUNDS;
    const requests = [
      'open',
      command(
        'cp /bin/busybox /idle; /attacks/thief /stop /idle >/caught 2>&1 </dev/null & until [ -s /caught ]; do :; done',
      ),
      // The program itself as a script's interpreter, and by a link.
      command("printf '#!/proc/self/exe\\n' >/again; chmod 755 /again; ln -s /proc/self/exe /link"),
      'command /again',
      'command /link,exec,-p,1,-m,1,--,/bin/true timeout=5',
      'command /link,unstage,/x timeout=5 stdin=/dev/null',
      ...Array.from({ length: commands }, () => 'command true'),
      command('touch /stop; until grep -q looks /caught; do :; done; cat /caught >&2'),
      'quit',
    ];
    const { status, stdout, stderr } = await world.session(caller, requests);
    assert.equal(status, 0, stderr);
    assert.equal((stdout.match(/^ok/gm) ?? []).length, requests.length + 1, stdout);
    assert.doesNotMatch(stderr, /WROTE/);
    // The same write changes a program that no process executes.
    assert.match(stderr, /^control written$/m);
    assert.match(stderr, /^\d+ looks, \d+ caught$/m);
    await canaries.check([stderr], commands + 3);
  });
});
