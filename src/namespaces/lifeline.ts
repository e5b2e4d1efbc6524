/** The two pipes between the server and a long-lived process of ours: its lifeline, and the line it says when it stands. */
import { Duplex, type Readable } from 'node:stream';
import { TestbedError } from '../errors.ts';
import type { HostProcess } from '../host.ts';

/**
 * Our end of descriptor 3, the lifeline: whoever holds the other end reads end of file when we are gone by whatever
 * death. It does not keep our event loop alive.
 */
export function lifelineOf(started: HostProcess): Duplex {
  const end = started.child.stdio[3];
  if (!(end instanceof Duplex))
    throw new TestbedError('internal: a process was started without its lifeline');
  // An ECONNRESET is only the news that the process is gone, which its exit tells too.
  end.on('error', () => {});
  if ('unref' in end && typeof end.unref === 'function') end.unref();
  return end;
}

/**
 * The first line of a stream without its newline, or what came before the end of file. The stream is closed then, unless
 * `readOn`: for a process that says its next line only after it was answered.
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
