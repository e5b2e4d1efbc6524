/** Moves between cgroups are quick while an init boots. How quick is a matter of the benchmark: `npm run bench -- --only boot`. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { findCgroup } from '../../../src/namespaces/cgroups.ts';
import { whileMovesAreQuick } from '../../../src/namespaces/quick-moves.ts';
import { waitUntil } from '../../../src/wait.ts';
import { patience } from '../../support/patience.ts';
import { lack } from '../../support/skip.ts';

const ownCgroup = () => readFileSync('/proc/self/cgroup', 'utf8');

/** Files of cgroups that this process has open. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((name) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${name}`);
      return path.endsWith('/cgroup.procs') ? [path] : [];
    } catch {
      return [];
    }
  });
}

describe('quick moves between cgroups', () => {
  before(function () {
    const { why } = findCgroup();
    if (why !== undefined) lack(this, why);
  });

  it('leave this process where it is, and end with the work', async () => {
    const before = ownCgroup();
    const given = await whileMovesAreQuick(async () => {
      assert.ok(await waitUntil(() => openFiles().length === 1, patience(5000)));
      return 'what the work gives';
    });
    assert.equal(given, 'what the work gives');
    assert.deepEqual([ownCgroup(), openFiles()], [before, []]);
  });

  it('end with the failure of the work', async () => {
    const failing = whileMovesAreQuick(() => Promise.reject(new Error('it failed')));
    await assert.rejects(failing, /it failed/);
    assert.deepEqual(openFiles(), []);
  });
});
