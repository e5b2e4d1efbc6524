/** The two pipes between the server and a long-lived process: its lifeline, and its first line. */
import { Duplex, type Readable } from 'node:stream';
import { TestbedError } from '../errors.ts';
import type { HostProcess } from '../host.ts';

/**
 * Descriptor 3, the lifeline: the process reads end of file when the server ends. It does not keep Node's event loop alive.
 */
export function lifelineOf(started: HostProcess): Duplex {
  const end = started.child.stdio[3];
  if (!(end instanceof Duplex))
    throw new TestbedError('internal: a process was started without its lifeline');
  // ECONNRESET only means that the process has ended, which its exit status reports.
  end.on('error', () => {});
  if ('unref' in end && typeof end.unref === 'function') end.unref();
  return end;
}

/**
 * The first line of a stream without its newline, or what came before the end of file. The stream is then closed, unless
 * `readOn`.
 */
export function firstLine(stream: Readable | null, { readOn = false } = {}): Promise<string> {
  return new Promise((resolve) => {
    if (stream === null) {
      resolve('');
      return;
    }
    let text = '';
    const done = (line: string) => {
      stream.off('data', onData);
      stream.off('close', onClose);
      if (readOn) stream.pause();
      else stream.destroy();
      resolve(line);
    };
    const onData = (chunk: Buffer) => {
      text += chunk.toString('latin1');
      const end = text.indexOf('\n');
      if (end >= 0) done(text.slice(0, end));
    };
    const onClose = () => done(text);
    stream.on('data', onData);
    stream.on('close', onClose);
    stream.on('error', () => {});
    stream.resume();
  });
}
