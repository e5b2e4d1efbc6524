import { closeSync, openSync, writeSync } from 'node:fs';
import { reasonOf, systemCodeOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { scarceRemedy } from '../scarce.ts';
import type { OnEvent } from './types.ts';

export interface EventFile {
  readonly onEvent: OnEvent;
  close(): void;
}

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
    descriptor = openSync(path, 'a');
  } catch (error) {
    fail(error);
  }
  return {
    onEvent: (event) => {
      if (descriptor === undefined) return;
      try {
        const line = Buffer.from(`${isHalf ? '\n' : ''}${JSON.stringify(event)}\n`);
        const written = writeSync(descriptor, line);
        isHalf = written < line.length && (written > 0 || isHalf);
        if (written < line.length) fail(new Error('only a part of it was written'));
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
    case undefined:
    case 'ENOSPC':
    case 'EDQUOT':
      return 'free space on its disk, or give another file';
    default:
      return scarceRemedy(code) ?? 'give another file';
  }
}
