/** CVE-2026-41163: ptrace(2) and process_vm_readv(2) of the processes that enter, which have the caller's memory. */
import assert from 'node:assert/strict';
import { forEachCaller } from './each.ts';
import { ROUNDS } from './tally.ts';
import { command } from './world.ts';

forEachCaller("the caller's memory and environment", ['seize'], (caller, scene) => {
  it('are not read by what root inside does to each new process', async () => {
    const { world, canaries } = scene;
    const commands = 15 * ROUNDS;
    const start = '/attacks/seize /stop canary- >/seen 2>&1 </dev/null & until [ -s /seen ]; do :; done';
    const requests = [
      'open',
      // A process of the testbed that has it is found.
      command('CANARY=canary-control sleep 100 >/dev/null 2>&1 </dev/null &'),
      command(start),
      ...Array.from({ length: commands }, () => 'command true'),
      `copydown ${world.root}/etc/passwd /copy`,
      `copyup /copy ${world.folder}/copy`,
      command('touch /stop; until grep -q seized /seen; do :; done; sort -u /seen >&2'),
      'quit',
    ];
    const { status, stdout, stderr } = await world.session(caller, requests, {
      env: { CANARY: canaries.secret },
    });
    assert.equal(status, 0, stderr);
    assert.equal((stdout.match(/^ok/gm) ?? []).length, requests.length + 1, stdout + stderr);
    const found = [...new Set(stderr.match(/^FOUND .*$/gm) ?? [])];
    // A process without a name had ended before that was read; the canaries below tell whose memory it was.
    assert.deepEqual(
      found.filter((line) => !/ (sleep|sh|)$/.test(line)),
      [],
      stderr,
    );
    assert.ok(
      found.some((line) => /environ/.test(line)),
      stderr,
    );
    await canaries.check([stderr], commands + 3);
  });

  it('are not reached by the pids of the host', async () => {
    const { world, canaries } = scene;
    const script = `/attacks/seize /etc canary- & for n in 0 STOP KILL; do kill -$n ${canaries.victimPid}; done 2>/dev/null
      cat /proc/${canaries.victimPid}/environ; wait`;
    const { stdout } = await world.run(caller, script);
    assert.doesNotMatch(stdout, /FOUND/);
    await canaries.check([stdout], 4);
  });
});
