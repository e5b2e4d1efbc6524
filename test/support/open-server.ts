import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { ServerProcess } from './pipes.ts';

/** A server with an open testbed: its scratch directory, and a function that runs a command by the execute program. */
export async function openServer(options: readonly string[] = []) {
  const server = new ServerProcess(options);
  const [ok, opened = '', printed = ''] = await server.askAll('open', 'print-execute-command');
  assert.equal(ok, 'ok');
  const [, scratch = ''] = /^ok (\/\S+)$/.exec(opened) ?? assert.fail(`open: ${opened}`);
  const [, words = ''] = /^ok (\S+)$/.exec(printed) ?? assert.fail(`print-execute-command: ${printed}`);
  const [file = '', ...args] = words.split(',').map(decodeURIComponent);
  const run = (...argv: string[]) =>
    spawnSync(file, [...args, ...argv], { encoding: 'utf8', input: 'from outside' });
  return { server, scratch, run };
}
