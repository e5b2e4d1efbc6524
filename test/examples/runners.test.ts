/** Runs the examples for other test runners, and those that end in the middle, as a person would. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { processTree, untilGone, untilRuns } from '../support/processes.ts';
import { call, ended } from '../support/program.ts';
import { projectDir } from '../support/rootfs.ts';

const node = process.execPath;
// With --no-exit a run ends by itself only when nothing of a testbed is left.
const mocha = [node, 'node_modules/mocha/bin/mocha.js', '--no-exit'] as const;
const inProject = { cwd: projectDir };

describe('the examples', function () {
  this.timeout(60_000);

  it('for root hooks of mocha pass', async () => {
    const folder = 'test/examples/mocha-root-hooks';
    const { stdout, status } = await call(
      [...mocha, `--require=./${folder}/hooks.ts`, `${folder}/hooked.example.ts`],
      inProject,
    );
    assert.match(stdout, /2 passing/);
    assert.equal(status, 0, stdout);
  });

  it('for node:test pass', async () => {
    const { stdout, status } = await call(
      [node, '--import=tsx', '--test', 'test/examples/node-test.example.ts'],
      inProject,
    );
    assert.match(stdout, /^. pass 3$/m);
    assert.equal(status, 0, stdout);
  });

  it('for vitest pass', async () => {
    const { stdout, stderr, status } = await call(
      [
        node,
        'node_modules/vitest/vitest.mjs',
        'run',
        '--config=test/examples/vitest.config.ts',
        '--configLoader=runner',
      ],
      { ...inProject, env: { NO_COLOR: '1' } },
    );
    assert.match(stdout, /Tests +3 passed/, stdout + stderr);
    assert.equal(status, 0);
  });
});

describe('a test run that ends in the middle', function () {
  this.timeout(60_000);
  const suite = [...mocha, 'test/examples/endless.example.ts'] as const;

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
    it(`by ${signal} leaves no process`, async () => {
      const [file, ...args] = suite;
      const child = spawn(file, args, { ...inProject, stdio: 'ignore', detached: true });
      const { pid } = child;
      assert.ok(pid !== undefined);
      const end = ended(child);
      await untilRuns('sleep 4321', pid);
      const processes = processTree(pid);
      assert.ok(processes.length > 3);
      // As a terminal does it for Ctrl-C: to the whole process group.
      process.kill(-pid, signal);
      await end;
      await untilGone(processes);
    });
  }

  it('by an uncaught error leaves no process', async () => {
    const child = spawn(node, ['--import=tsx', 'test/examples/uncaught.example.ts'], inProject);
    const { pid } = child;
    assert.ok(pid !== undefined);
    const end = ended(child);
    const processes = await untilRuns('sleep 4321', pid);
    child.stdin.write('now\n');
    const { status, stderr } = await end;
    assert.equal(status, 1);
    assert.match(stderr, /nobody catches this/);
    await untilGone(processes);
  });
});
