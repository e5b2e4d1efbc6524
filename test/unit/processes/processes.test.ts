import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { commandLine, treeOf } from '../../../src/processes/list.ts';
import { hasEnded, parseStat, processState } from '../../../src/processes/stat.ts';
import { waitUntil } from '../../../src/wait.ts';
import { call } from '../../support/program.ts';

describe('processes', () => {
  it('are read though their name holds parentheses, spaces and newlines', () => {
    const rest = 'S 17 4 4 0 -1 4194560 84 402 0 0 0 0 0 0 20 0 1 0 180466 2654208';
    assert.deepEqual(parseStat(`12 (a) R (b\n) ${rest}`), {
      pid: 12,
      state: 'S',
      threads: 1,
      parent: 17,
      session: 4,
      startTime: '180466',
    });
    assert.equal(parseStat(''), undefined);
  });

  it('have ended as zombies, unless only their first thread has', () => {
    const of = (state: string, threads: number) =>
      parseStat(`12 (a) ${state} 17 4 4 0 -1 4194560 84 402 0 0 0 0 0 0 20 0 ${threads} 0 180466 0`);
    const ended = [of('Z', 1), of('X', 0), of('Z', 2), of('S', 1)].map((each) => each && hasEnded(each));
    assert.deepEqual(ended, [true, true, false, false]);
  });

  it('that are gone have no state', () => {
    assert.equal(processState(2 ** 22 + 1), undefined);
    assert.equal(processState(process.pid)?.pid, process.pid);
  });

  it('do not seem to have ended where there is no descriptor to look', async () => {
    const program = fileURLToPath(new URL('without-descriptors.ts', import.meta.url));
    const { stdout, stderr } = await call([
      ...['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh'],
      ...[process.execPath, '--import=tsx', program],
    ] as const);
    assert.equal(stdout, '{"processState":"EMFILE","isAlive":"EMFILE","allPids":"EMFILE"}\n', stderr);
  });

  it('of a tree are found below their root and in its session', async () => {
    // The inner shell's parent ends, so only the session tells that it belongs here.
    const root = spawn('sh', ['-c', '(cat <&3 >/dev/null &); echo up; read wait'], {
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore', 'pipe'],
    });
    assert.ok(root.stdout);
    await once(root.stdout, 'data');
    assert.ok(treeOf(root.pid ?? 0).length >= 2);
    const ended = once(root, 'exit');
    for (const pid of treeOf(root.pid ?? 0)) process.kill(pid, 'SIGKILL');
    await ended;
    // What was killed takes a moment to die on a busy machine.
    assert.ok(await waitUntil(() => treeOf(root.pid ?? 0).length === 0, 10_000));
  });

  it('have command lines that are safe to print', async () => {
    const child = spawn('sh', ['-c', 'echo up; read wait', 'a\x1b[31mb\nc'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    await once(child.stdout, 'data');
    assert.equal(commandLine(child.pid ?? 0), 'sh -c echo up; read wait a?[31mb?c');
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
});
