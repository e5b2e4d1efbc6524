/** CVE-2017-5226: input put into the caller's terminal. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { shellLine } from '../../src/log.ts';
import { Terminal } from '../support/program.ts';
import { skip } from '../support/skip.ts';
import { forEachCaller } from './each.ts';
import { some } from './tally.ts';

forEachCaller("the caller's terminal", ['inject'], (caller, scene) => {
  /** What a shell on a terminal reads from it after a program has run there. */
  async function after(words: readonly string[]): Promise<string> {
    const line = `${shellLine(words)}; read -t 1 line; echo "read=[$line]"`;
    const terminal = new Terminal(['bash', '-c', line], {
      XDG_CACHE_HOME: `${scene.world.folder}/cache`,
      XDG_RUNTIME_DIR: '',
    });
    try {
      await terminal.shows('read=[');
      return await terminal.shows(']');
    } finally {
      await terminal.close();
    }
  }

  it('gets no input from inside', async () => {
    const { world, canaries } = scene;
    const options = ['--rootfs', world.root, '--network=none'];
    const scripts = [
      '/attacks/inject; /attacks/inject steal',
      '(/attacks/inject & /attacks/inject steal &); true',
      'exec /attacks/inject steal',
    ];
    for (const script of some(scripts, 1)) {
      assert.equal(await after(world.words(caller, 'run', ...options, '--', 'sh', '-c', script)), '');
      await canaries.check([]);
    }
  });

  it('would get it from a program on the terminal itself (the control)', async function () {
    let allowed = '1';
    try {
      allowed = readFileSync('/proc/sys/dev/tty/legacy_tiocsti', 'utf8').trim();
    } catch {}
    if (allowed === '0' && process.getuid?.() !== 0) skip(this, 'this kernel refuses TIOCSTI');
    assert.equal(await after([`${scene.world.programs}/inject`, 'own']), 'injected');
  });
});
