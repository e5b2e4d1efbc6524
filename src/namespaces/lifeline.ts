import { Duplex } from 'node:stream';
import { TestbedError } from '../errors.ts';
import type { HostProcess } from '../host.ts';

/** Descriptor 3: the process reads end of file when the server ends. It does not keep Node's event loop alive. */
export function lifelineOf(started: HostProcess): Duplex {
  const end = started.child.stdio[3];
  if (!(end instanceof Duplex))
    throw new TestbedError('internal: a process was started without its lifeline', { code: 'INTERNAL' });
  // ECONNRESET only means that the process has ended, which its exit status reports.
  end.on('error', () => {});
  if ('unref' in end && typeof end.unref === 'function') end.unref();
  return end;
}
