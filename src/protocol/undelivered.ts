import { reasonOf, systemCodeOf, TestbedError } from '../errors.ts';
import { scarceRemedy } from '../scarce.ts';

/**
 * The error of a reply that could not be written, such as to a full disk. Undefined where there is no reader: a driver closes the
 * server's stdout before it sends quit.
 */
export function undelivered(error: unknown): TestbedError | undefined {
  const code = systemCodeOf(error);
  if (code === undefined || code.startsWith('ERR_') || READER_GONE.has(code)) return undefined;
  return new TestbedError(`cannot write a reply to stdout: ${reasonOf(error)}`, {
    code: 'CANNOT_REPLY',
    remedy: scarceRemedy(code) ?? 'connect stdout to the program that reads the replies',
    cause: error,
  });
}

const READER_GONE = new Set(['EPIPE', 'ECONNRESET']);
