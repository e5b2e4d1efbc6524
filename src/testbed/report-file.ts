/** The events of execute programs, in an unnamed file that only this user can open: the driver may start them too. */
import { closeSync, fstatSync, readSync } from 'node:fs';
import { messageOf } from '../errors.ts';
import { type HelperFailure, isFailure, parseEvents } from '../helper.ts';
import { parseEnded } from '../leaks/ended.ts';
import type { ProcessLeak } from '../leaks/leak.ts';
import type { Log } from '../log.ts';
import { unnamedFile } from '../processes/open-testbeds.ts';

export class ReportFile {
  readonly #descriptor: number;
  #isClosed = false;

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** Undefined, with a warning, when it cannot be made; a testbed works without it. */
  static open(log: Log): ReportFile | undefined {
    try {
      return new ReportFile(unnamedFile(process.env));
    } catch (error) {
      log.warn(
        `processes that are ended for holding a command's output open are not reported: ${messageOf(error)}`,
      );
      return undefined;
    }
  }

  get path(): string {
    return `/proc/${process.pid}/fd/${this.#descriptor}`;
  }

  ended(): ProcessLeak[] {
    return parseEnded(this.#text());
  }

  failureOf(pid: number): HelperFailure | undefined {
    // What it had is not there any more, and no command can run in the testbed.
    if (this.#isClosed) return { event: 'failed', code: 'CLOSED', what: 'it is closed' };
    return parseEvents(this.#text())
      .filter(isFailure)
      .findLast((event) => event.pid === pid);
  }

  /** May be called again: another file may have the number of the descriptor then. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#descriptor);
  }

  #text(): string {
    if (this.#isClosed) return '';
    const bytes = Buffer.alloc(fstatSync(this.#descriptor).size);
    const length = readSync(this.#descriptor, bytes, 0, bytes.length, 0);
    return bytes.toString('latin1', 0, length);
  }
}
