import { resolve } from 'node:path';
import { openEventFile } from '../events/file.ts';
import type { OnEvent } from '../events/types.ts';
import { createLog } from '../log.ts';
import { checkText } from './checks.ts';

/**
 * A listener for `onEvent` that appends each event to a file, as a line of JSON by one write(2), so that several processes may share
 * the file. When it cannot be written, there is one warning on stderr.
 * @param path absolute, or relative to the working directory
 * @returns the listener, for any number of testbeds
 */
export function eventFile(path: string): OnEvent {
  checkText('path', path, 'name a file');
  return openEventFile(resolve(path), createLog()).onEvent;
}
