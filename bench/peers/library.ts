/** The library's run() against Node's own spawn, in a Node process of its own: bench/library-client.js. */
import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Caller } from '../client.ts';
import { SELF, SPAWN } from '../report.ts';
import type { Results } from '../results.ts';

const ROUNDS = 50;

/** @param program bin/virt-ts-unshare of the package to measure */
export async function library(
  program: string,
  tarball: string,
  caller: Caller,
  results: Results,
): Promise<void> {
  const folder = dirname(dirname(program));
  const words = [
    join(folder, 'bench/library-client.js'),
    join(folder, 'dist/index.js'),
    tarball,
    String(ROUNDS),
  ];
  const { stdout } = await promisify(execFile)(process.execPath, words, { ...caller, cwd: '/' });
  const times: { library: number[]; spawn: number[] } = JSON.parse(stdout);
  results.add(SELF, 'run true in Node', ...times.library);
  results.add(SPAWN, 'run true in Node', ...times.spawn);
}
