/**
 * Starts a program in a thread that ends at once, and ends with the status of the program. argv: PROGRAM [ARGUMENT]... A program that
 * asks to be killed at the end of its parent (prctl(2), PR_SET_PDEATHSIG) is killed at the end of the thread.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

const THREAD = `
const { spawn } = require('node:child_process');
const { parentPort, workerData } = require('node:worker_threads');
const child = spawn(workerData[0], workerData.slice(1), { stdio: 'inherit' });
child.once('spawn', () => parentPort.postMessage(child.pid));
`;

const thread = new Worker(THREAD, { eval: true, workerData: process.argv.slice(2) });
const pid = await new Promise<number>((resolve) => thread.once('message', resolve));
await thread.terminate();
// No thread waits for the program any more, so it stays a zombie.
for (;;) {
  const state = /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (state === 'Z') break;
  await delay(10);
}
