import { closeSync, constants, openSync, statSync, writeSync } from 'node:fs';
import { reasonOf, systemCodeOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { scarceRemedy } from '../scarce.ts';
import type { OnEvent } from './types.ts';

export interface EventFile {
  readonly onEvent: OnEvent;
  close(): void;
}

/** Milliseconds for the reader of a FIFO to make room, and between looks. */
const PATIENCE = 1_000;
const LOOK = 5;

/**
 * Appends a line for each event, by one write(2), so several programs may share the file. A failure is a warning: events are
 * never worth a result.
 */
export function openEventFile(path: string, log: Log): EventFile {
  let descriptor: number | undefined;
  let lost = 0;
  let isHalf = false;
  const fail = (why: unknown) => {
    if (lost === 0) log.warn(`cannot write an event to ${path}: ${reasonOf(why)}; ${remedyOf(why)}`);
    lost += 1;
  };
  try {
    descriptor = openForEvents(path);
  } catch (error) {
    fail(error);
  }
  return {
    onEvent: (event) => {
      if (descriptor === undefined) return;
      try {
        const line = Buffer.from(`${isHalf ? '\n' : ''}${JSON.stringify(event)}\n`);
        const { written, failure } = write(descriptor, line, lost === 0 ? PATIENCE : 0);
        isHalf = written < line.length && (written > 0 || isHalf);
        if (written < line.length) fail(failure);
      } catch (error) {
        fail(error);
      }
    },
    close: () => {
      if (lost > 1) log.warn(`${lost} events were not written to ${path}`);
      if (descriptor !== undefined) closeSync(descriptor);
      descriptor = undefined;
    },
  };
}

/** A FIFO keeps what fits until a program reads it: an open for writing alone would wait for that program, perhaps for ever. */
function openForEvents(path: string): number {
  const isFifo = statSync(path, { throwIfNoEntry: false })?.isFIFO() === true;
  return openSync(path, isFifo ? constants.O_RDWR | constants.O_NONBLOCK : 'a');
}

/** Only a FIFO that is full makes it wait. */
function write(
  descriptor: number,
  line: Buffer,
  patience: number,
): { readonly written: number; readonly failure?: unknown } {
  const end = performance.now() + patience;
  for (let written = 0; ; ) {
    try {
      written += writeSync(descriptor, line, written);
      if (written === line.length) return { written };
    } catch (failure) {
      if (systemCodeOf(failure) !== 'EAGAIN' || performance.now() >= end) return { written, failure };
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK);
    }
  }
}

function remedyOf(why: unknown): string {
  const code = systemCodeOf(why);
  switch (code) {
    case 'ENOENT':
      return 'make its directory first, or give another file';
    case 'EACCES':
    case 'EPERM':
    case 'EISDIR':
    case 'ENOTDIR':
      return 'give a file that this user may write';
    case 'EAGAIN':
      return 'start the program that reads it, or give a file';
    case 'ENOSPC':
    case 'EDQUOT':
      return 'free space on its disk, or give another file';
    default:
      return scarceRemedy(code) ?? 'give another file';
  }
}
