/**
 * Writes to stderr without blocking: a full pipe or terminal that no process reads would block for ever, and neither end of
 * file nor a signal could end the program. So stderr is opened again, because the flag of the shared descriptor must not
 * change. Imports only Node, and loads node:stream and node:tty when they are used: they take 3 ms.
 */
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import type { Writable } from 'node:stream';

/** Bytes that wait for a reader; more are dropped. */
const MOST_WAITING = 256 * 1024;
/** Milliseconds between attempts to write, and for the last of them at the end of the program. */
const INTERVAL = 20;
const LAST_WAIT = 500;

let descriptor: number | undefined;
/** The line that is erased again, at the end of what was written; empty: there is none. */
let line = '';
let elsewhere: ((bytes: Buffer) => void) | undefined;
let waiting: Buffer[] = [];
let timer: NodeJS.Timeout | undefined;

const ERASE = '\r\x1b[K';

/** Shows a line on a terminal in place of the one that was shown so before. What is reported meanwhile comes before it. */
export function showLine(text: string): void {
  line = '';
  writeToStderr(ERASE + text);
  line = text;
}

/** By one write(2) where possible, so that lines of several writers stay whole. Does not throw. */
export function writeToStderr(text: string): void {
  const bytes = Buffer.from(line === '' ? text : `${ERASE}${text}${line}`);
  if (elsewhere !== undefined) {
    elsewhere(bytes);
    return;
  }
  const size = waiting.reduce((sum, { length }) => sum + length, 0);
  if (size + bytes.length > MOST_WAITING) return;
  waiting.push(bytes);
  if (!flush() && timer === undefined) {
    timer = setInterval(flush, INTERVAL).unref();
    if (!process.listeners('exit').includes(flushAtEnd)) process.once('exit', flushAtEnd);
  }
}

/**
 * Keeps Node from opening stderr. Node compares each stream that is piped, and each socket that is destroyed, with process.stderr, and
 * thereby makes a pipe non-blocking for all that share it: commands in the testbed, which have the driver's stderr, would lose
 * output or fail (EAGAIN). A terminal is opened again by Node.
 */
export function keepStderrBlocking(): void {
  const ofNode = Object.getOwnPropertyDescriptor(process, 'stderr')?.get;
  let own: Writable | undefined;
  const get = () => {
    own ??= process.getBuiltinModule('node:tty').isatty(2) ? ofNode?.call(process) : blockingStderr();
    return own;
  };
  Object.defineProperty(process, 'stderr', { configurable: true, enumerable: true, get });
}

function blockingStderr(): Writable {
  const { Writable } = process.getBuiltinModule('node:stream');
  return new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      writeToStderr(chunk.toString());
      done();
    },
  });
}

/** From now on `write` gets what is reported, and this process does not hold the file of stderr open. */
export function leaveStderr(write: (bytes: Buffer) => void): void {
  flushAtEnd();
  for (const each of new Set([descriptor ?? 2, 2])) closeSync(each);
  descriptor = undefined;
  // The lowest free number is given: no other program gets another file of this process as its stderr.
  openSync('/dev/null', 'w');
  elsewhere = write;
}

export function flushAtEnd(): void {
  const end = performance.now() + LAST_WAIT;
  while (!flush() && performance.now() < end)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, INTERVAL);
}

function flush(): boolean {
  for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
    let written: number;
    try {
      descriptor ??= openAgain();
      written = writeSync(descriptor, first);
    } catch (error) {
      if (typeof error === 'object' && error !== null && 'code' in error && error.code === 'EAGAIN')
        return false;
      // stderr is closed, or its disk is full: that must not end a testbed.
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

/** Files do not block, and would have another offset; a socket cannot be opened again, but has a large buffer. */
function openAgain(): number {
  try {
    const stats = fstatSync(2);
    if (!stats.isFIFO() && !stats.isCharacterDevice()) return 2;
    return openSync('/proc/self/fd/2', constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    // It may belong to another user, as after su.
    return 2;
  }
}
