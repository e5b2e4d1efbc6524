/**
 * The processes of one incarnation that were ended for holding a command's output open. Who ends them is the execute
 * program, which the driver may have started, and it writes them into a file without a name: only this user can open it, by
 * our descriptor, and however we end, nothing is left.
 */
import { closeSync, fstatSync, readSync } from 'node:fs';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { unnamedFile } from '../registry.ts';
import type { ProcessLeak } from './leak.ts';
import { parseEnded } from './leak-text.ts';

export class DrainLog {
  readonly #descriptor: number;

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** That there can be none is told, and costs no testbed. */
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

  /** For another process of this user, as long as we live and have not closed it. */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.#descriptor}`;
  }

  /** All until now. */
  read(): ProcessLeak[] {
    const bytes = Buffer.alloc(fstatSync(this.#descriptor).size);
    const length = readSync(this.#descriptor, bytes, 0, bytes.length, 0);
    return parseEnded(bytes.toString('latin1', 0, length));
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
