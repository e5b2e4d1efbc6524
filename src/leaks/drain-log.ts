/**
 * The file in which execute programs report the processes that they ended. It has no name: a process of this user opens it by the
 * descriptor of the server, and nothing is left when the server ends.
 */
import { closeSync, fstatSync, readSync } from 'node:fs';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { unnamedFile } from '../processes/open-testbeds.ts';
import { parseEnded } from './ended.ts';
import type { ProcessLeak } from './leak.ts';

export class DrainLog {
  readonly #descriptor: number;

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** Undefined, after a warning, when the file cannot be made: a testbed works without it. */
  static open(log: Log): DrainLog | undefined {
    try {
      return new DrainLog(unnamedFile(process.env));
    } catch (error) {
      log.warn(
        `processes that are ended for holding a command's output open are not reported: ${messageOf(error)}`,
      );
      return undefined;
    }
  }

  /** Where another process of this user opens it, until it is closed. */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.#descriptor}`;
  }

  read(): ProcessLeak[] {
    const bytes = Buffer.alloc(fstatSync(this.#descriptor).size);
    const length = readSync(this.#descriptor, bytes, 0, bytes.length, 0);
    return parseEnded(bytes.toString('latin1', 0, length));
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
