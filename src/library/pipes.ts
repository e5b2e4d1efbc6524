/**
 * Pipes to and from commands. Node gives a child sockets in place of pipes, and /dev/stdout and /dev/stderr cannot be opened
 * when they are sockets; test programs do that. So these are FIFOs, made a few at a time and unlinked before use, with
 * mode 666 so that whatever user the command is may open them there.
 */
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mustRunHost } from '../host.ts';
import type { Log } from '../log.ts';

/** Descriptors of ours, to be closed by whoever took them. Both block: one of them becomes a command's. */
export interface Pipe {
  readonly read: number;
  readonly write: number;
}

const BATCH = 8;

export class Pipes {
  readonly #log: Log;
  readonly #free: Pipe[] = [];
  #making: Promise<void> | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  async take(): Promise<Pipe> {
    for (;;) {
      const pipe = this.#free.pop();
      if (pipe !== undefined) return pipe;
      this.#making ??= this.#make().finally(() => {
        this.#making = undefined;
      });
      await this.#making;
    }
  }

  /** Closes those that nobody took. */
  close(): void {
    for (const pipe of this.#free.splice(0)) closePipe(pipe);
  }

  async #make(): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-'));
    try {
      const paths = Array.from({ length: BATCH }, (_, index) => join(folder, String(index)));
      await mustRunHost(['mkfifo', '-m', '666', '--', ...paths], this.#log, 'making pipes');
      for (const path of paths) {
        // An open that blocks waits for the other end; one that does not block is there for a moment.
        const opener = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
        const write = openSync(path, constants.O_WRONLY);
        this.#free.push({ read: openSync(path, constants.O_RDONLY), write });
        closeSync(opener);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

export function closePipe({ read, write }: Pipe): void {
  closeSync(read);
  closeSync(write);
}
