/**
 * Starts a program in a thread that ends at the first output, and prints all of the output when the program has ended. argv: PROGRAM
 * [ARGUMENT]... A program that asks to be killed at the end of its parent (prctl(2), PR_SET_PDEATHSIG) is killed at the end of the
 * thread.
 */
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

const THREAD = `
const { spawn } = require('node:child_process');
const { parentPort, workerData } = require('node:worker_threads');
const { argv, output } = workerData;
const child = spawn(argv[0], argv.slice(1), { stdio: ['ignore', output, 'inherit'] });
child.once('spawn', () => parentPort.postMessage(child.pid));
`;

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await delay(10);
}

const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-thread-'));
const file = join(folder, 'output');
const thread = new Worker(THREAD, {
  eval: true,
  workerData: { argv: process.argv.slice(2), output: openSync(file, 'w') },
});
const pid = await new Promise<number>((resolve) => thread.once('message', resolve));
const hasEnded = () => /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
const output = () => readFileSync(file, 'utf8');
await until(() => output() !== '' || hasEnded());
await thread.terminate();
// No thread waits for the program any more, so it stays a zombie.
await until(hasEnded);
process.stdout.write(output());
rmSync(folder, { recursive: true });
