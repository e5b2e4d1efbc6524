/**
 * The program's own way to its stderr. A write to a pipe or terminal that is full would block for ever when no process reads it,
 * and then neither end of file nor a signal could end the program. So such a stderr is opened again, without blocking; the other
 * processes that share it must not find their descriptor changed. This file imports nothing but Node.
 */
import { constants, fstatSync, openSync, writeSync } from 'node:fs';

/** Bytes that wait for a reader; what comes behind them is dropped. */
const MOST_WAITING = 256 * 1024;
/** Milliseconds between two attempts, and how long the last ones before the end may take. */
const INTERVAL = 20;
const LAST_WAIT = 500;

let descriptor: number | undefined;
let waiting: Buffer[] = [];
let timer: NodeJS.Timeout | undefined;

/** Writes a text, by one write(2) where that is possible, so that lines of several writers stay whole. Does not throw. */
export function writeToStderr(text: string): void {
  const bytes = Buffer.from(text);
  const size = waiting.reduce((sum, { length }) => sum + length, 0);
  if (size + bytes.length > MOST_WAITING) return;
  waiting.push(bytes);
  if (!flush() && timer === undefined) {
    timer = setInterval(flush, INTERVAL).unref();
    if (!process.listeners('exit').includes(flushAtEnd)) process.once('exit', flushAtEnd);
  }
}

/** The last attempts, before the process ends. */
export function flushAtEnd(): void {
  const end = performance.now() + LAST_WAIT;
  while (!flush() && performance.now() < end)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, INTERVAL);
}

/** Whether nothing waits any more. */
function flush(): boolean {
  for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
    let written: number;
    try {
      descriptor ??= openAgain();
      written = writeSync(descriptor, first);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return false;
      // It is closed, or its disk is full: that must not end a testbed.
      waiting = [];
      break;
    }
    if (written < first.length) waiting[0] = first.subarray(written);
    else waiting.shift();
  }
  clearInterval(timer);
  timer = undefined;
  return true;
}

/** Files do not block, and would have another offset; a socket cannot be opened again, but has room for much. */
function openAgain(): number {
  try {
    const stats = fstatSync(2);
    if (!stats.isFIFO() && !stats.isCharacterDevice()) return 2;
    return openSync('/proc/self/fd/2', constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    // It may belong to another user, as behind su.
    return 2;
  }
}
