/**
 * Pipes to and from commands. Node makes sockets in place of pipes, and a test program that opens /dev/stdout fails on a
 * socket. So these are FIFOs, unlinked before use, with mode 666, so that any user of the testbed may open them.
 */
import { closeSync, constants, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { TestbedError } from '../errors.ts';
import { makeTemporary } from '../folders.ts';
import { mustRunHost } from '../host.ts';
import type { Log } from '../log.ts';

interface Pipe {
  readonly read: number;
  readonly write: number;
}

/** A command takes up to three; a program of the host makes so many at once. */
const BATCH = 32;

export class Pipes {
  readonly #log: Log;
  readonly #free: Pipe[] = [];
  #making: Promise<void> | undefined;
  #closed = false;

  constructor(log: Log) {
    this.#log = log;
  }

  async take(): Promise<Pipe> {
    for (;;) {
      if (this.#closed) throw new TestbedError('the testbed is closed', { code: 'CLOSED' });
      const pipe = this.#free.pop();
      if (pipe !== undefined) return pipe;
      this.#making ??= this.#make().finally(() => {
        this.#making = undefined;
      });
      await this.#making;
    }
  }

  close(): void {
    this.#closed = true;
    this.#closeFree();
  }

  #closeFree(): void {
    for (const { read, write } of this.#free.splice(0)) {
      closeSync(read);
      closeSync(write);
    }
  }

  async #make(): Promise<void> {
    const folder = makeTemporary('virt-ts-unshare-');
    try {
      const paths = Array.from({ length: BATCH }, (_, index) => join(folder, String(index)));
      await mustRunHost(['mkfifo', '-m', '666', '--', ...paths], this.#log, 'making pipes');
      if (!this.#closed) for (const path of paths) this.#free.push(openPipe(path));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

/** A blocking open waits for the other end, so a descriptor that does not block is open meanwhile. */
function openPipe(path: string): Pipe {
  const opened = [openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)];
  const open = (flags: number) => {
    const descriptor = openSync(path, flags);
    opened.push(descriptor);
    return descriptor;
  };
  try {
    return { write: open(constants.O_WRONLY), read: open(constants.O_RDONLY) };
  } catch (error) {
    for (const descriptor of opened.splice(1)) closeSync(descriptor);
    throw error;
  } finally {
    for (const descriptor of opened.slice(0, 1)) closeSync(descriptor);
  }
}
