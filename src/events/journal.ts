/**
 * The events "started" and "finished" of execute programs (helper/journal.c), in an unnamed file that only this user can open: a
 * driver starts these programs itself.
 */
import { closeSync, type FSWatcher, readSync, watch } from 'node:fs';
import { messageOf } from '../errors.ts';
import { type HelperEvent, parseEvent } from '../helper.ts';
import type { Log } from '../log.ts';
import { unnamedFile } from '../processes/open-testbeds.ts';

export class Journal {
  readonly #descriptor: number;
  readonly #onEvent: (event: HelperEvent) => void;
  readonly #log: Log;
  readonly #watcher: FSWatcher | undefined;
  /** A line whose end is not written yet. */
  #rest = '';
  #offset = 0;
  #isClosed = false;

  private constructor(descriptor: number, log: Log, onEvent: (event: HelperEvent) => void) {
    this.#descriptor = descriptor;
    this.#onEvent = onEvent;
    this.#log = log;
    this.#watcher = this.#watch();
  }

  /** Undefined, with a warning, when it cannot be made. */
  static open(log: Log, onEvent: (event: HelperEvent) => void): Journal | undefined {
    try {
      return new Journal(unnamedFile(process.env), log, onEvent);
    } catch (error) {
      log.warn(`commands will be missing among the events: ${messageOf(error)}`);
      return undefined;
    }
  }

  get path(): string {
    return `/proc/${process.pid}/fd/${this.#descriptor}`;
  }

  /** Reads what was written up to now. Does not throw: it is called by the watcher too. */
  flush(): void {
    const bytes = Buffer.alloc(64 * 1024);
    while (!this.#isClosed) {
      const length = readSync(this.#descriptor, bytes, 0, bytes.length, this.#offset);
      if (length === 0) return;
      this.#offset += length;
      const lines = (this.#rest + bytes.toString('latin1', 0, length)).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) {
        const event = parseEvent(line);
        if (event !== undefined) this.#give(event);
      }
    }
  }

  #give(event: HelperEvent): void {
    try {
      this.#onEvent(event);
    } catch (error) {
      this.#log.warn(`an event was lost: ${messageOf(error)}`);
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.flush();
    this.#isClosed = true;
    this.#watcher?.close();
    closeSync(this.#descriptor);
  }

  /** Without one (fs.inotify.max_user_instances), events come with the next operation. */
  #watch(): FSWatcher | undefined {
    const late = (error: unknown) => this.#log.debug(`events of commands come later: ${messageOf(error)}`);
    try {
      const watcher = watch(this.path, { persistent: false }, () => this.flush());
      watcher.on('error', late);
      return watcher;
    } catch (error) {
      late(error);
      return undefined;
    }
  }
}
