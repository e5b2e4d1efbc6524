/** The processes of a testbed that are stopped for a commit go on, however the commit ends. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { helperWords, parseEvents } from '../../../src/helper.ts';
import { processState } from '../../../src/processes/stat.ts';
import type { OpenTestbed } from '../../../src/testbed/types.ts';
import { waitUntil } from '../../../src/wait.ts';
import { processTree } from '../../support/processes.ts';
import { call } from '../../support/program.ts';
import { testProvider } from '../../support/testbed.ts';

describe('processes of a testbed that are stopped', () => {
  const provider = testProvider();
  let testbed: OpenTestbed;
  let sleeper: number;
  before(async () => {
    testbed = await provider.open();
    await testbed.run(['sh', '-c', 'sleep 1000 </dev/null >/dev/null 2>&1 &']);
    sleeper = processTree(testbed.pid).find(({ command }) => command === 'sleep 1000')?.pid ?? 0;
  });
  after(() => provider.dispose());

  it('are all stopped, or none where there are too few descriptors for them', async () => {
    await testbed.run(['sh', '-c', 'for i in 1 2 3 4 5 6 7 8 9; do sleep 999 & done >/dev/null 2>&1']);
    const find = () => processTree(testbed.pid).filter(({ command }) => command === 'sleep 999');
    assert.ok(await waitUntil(() => find().length === 9, 10_000));
    const sleepers = find();
    try {
      const words = helperWords('freeze', String(testbed.pid));
      const { status, stdout } = await call(['sh', '-c', 'ulimit -n 16; exec "$@"', 'sh', ...words]);
      const [event] = parseEvents(stdout);
      assert.deepEqual([status, event?.event, event?.errno], [1, 'failed', 'EMFILE']);
      const states = sleepers.map(({ pid }) => processState(pid)?.state);
      assert.ok(!states.includes('T'), states.join());
    } finally {
      for (const { pid } of sleepers) process.kill(pid, 'SIGKILL');
    }
  });

  const state = () => processState(sleeper)?.state;
  const start = () => {
    const [file, ...args] = helperWords('freeze', String(testbed.pid));
    return spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  };

  it('go on though the commit was killed before it read that they are', async () => {
    const helper = start();
    const ended = once(helper, 'exit');
    helper.stdout.destroy();
    assert.ok(await waitUntil(() => state() === 'T', 10_000));
    helper.stdin.end();
    assert.deepEqual(await ended, [0, null]);
    assert.notEqual(state(), 'T');
  });

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) {
    it(`stay so at ${signal}, which a terminal sends to the commit too, until that has ended`, async () => {
      const helper = start();
      const ended = once(helper, 'exit');
      await once(helper.stdout, 'data');
      assert.equal(state(), 'T');
      helper.kill(signal);
      helper.stdin.end();
      assert.deepEqual(await ended, [0, null]);
      assert.notEqual(state(), 'T');
    });
  }
});
