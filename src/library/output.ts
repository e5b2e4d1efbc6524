/** An output of a command: a stream, whose lines can also be read. */
import { Socket } from 'node:net';
import { LineLog } from './line-log.ts';

/** Bytes of what was read from the stream that are kept for a later look at its lines. */
const KEPT_BYTES = 1024 * 1024;

export class Output extends Socket {
  #log: LineLog | undefined;
  #before: Buffer[] = [];
  #size = 0;

  constructor(descriptor: number) {
    super({ fd: descriptor, readable: true, writable: false });
    this.once('close', () => this.#log?.end());
  }

  /** Each chunk passes here when it arrives, also one that another reader takes. */
  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    if (chunk === null) this.#log?.end();
    else if (Buffer.isBuffer(chunk)) this.#keep(chunk);
    return super.push(chunk, encoding);
  }

  /** The lines from the first kept one on. From then on the command waits for no reader, except for a loop over the lines. */
  lines(): LineLog {
    if (this.#log !== undefined) return this.#log;
    const log = new LineLog({ pause: () => void this.pause(), resume: () => void this.resume() });
    this.#log = log;
    for (const chunk of this.#before.splice(0)) log.write(chunk);
    if (this.readableEnded || this.destroyed) log.end();
    else if (this.listenerCount('readable') === 0) this.resume();
    return log;
  }

  #keep(chunk: Buffer): void {
    if (this.#log !== undefined) {
      this.#log.write(chunk);
      return;
    }
    this.#before.push(chunk);
    this.#size += chunk.length;
    while (this.#size > KEPT_BYTES && this.#before.length > 1)
      this.#size -= this.#before.shift()?.length ?? 0;
  }
}
