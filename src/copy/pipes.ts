import type { Readable } from 'node:stream';
import { CopyError } from '../errors.ts';

/** Passes each chunk of a stream to `take` and waits for its promise. Rejects when the stream fails or `take` throws. */
export async function drain(
  stream: Readable,
  take: (chunk: Buffer) => Promise<void> | undefined,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.on('data', (chunk: Buffer) => {
      try {
        const wait = take(chunk);
        if (wait === undefined) return;
        stream.pause();
        wait.then(() => stream.resume(), reject);
      } catch (error) {
        stream.pause();
        reject(error);
      }
    });
    stream.once('end', resolve);
    stream.once('error', reject);
    stream.once('close', () => reject(new CopyError('the pipe was closed', { code: 'PIPE_CLOSED' })));
  });
}

export function existing<T>(pipe: T | null): T {
  if (pipe === null) throw new CopyError('internal: a pipe is missing', { code: 'INTERNAL' });
  return pipe;
}
