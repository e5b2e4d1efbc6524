/**
 * A line on stderr for work that takes more than a second, when stderr is a terminal. It is erased when the work is done, so
 * that only what the log reports stays on the screen. Without a terminal the log can report once what is waited for.
 */
import { isatty } from 'node:tty';
import { writeToStderr } from './stderr.ts';

/** Milliseconds before the line appears, and between two looks at the fraction. */
const DELAY = 1000;
const INTERVAL = 200;

export interface ProgressLine {
  /** Erases the line; may be called again. */
  done(): void;
}

export interface ProgressOptions {
  /** The part that is done, 0 to 1; undefined when it is not known. */
  fraction?: () => number | undefined;
  /** What is done at present. */
  note?: () => string | undefined;
  /** Called after the first second where the line is not shown. */
  unseen?: () => void;
  /** Writes to the terminal; default: stderr, if that is a terminal. */
  write?: ((text: string) => void) | undefined;
}

/** Shows `WHAT ... 42 % (3 s)` from the first second on until `done` is called. */
export function startProgress(what: string, options: ProgressOptions = {}): ProgressLine {
  const write = options.write ?? (isatty(2) ? writeToStderr : undefined);
  if (write === undefined) {
    const waiting = options.unseen === undefined ? undefined : setTimeout(options.unseen, DELAY).unref();
    return { done: () => clearTimeout(waiting) };
  }
  const started = Date.now();
  let shown = false;
  const timer = setInterval(() => {
    const elapsed = Date.now() - started;
    if (elapsed < DELAY) return;
    shown = true;
    write(`\r\x1b[K${progressLine(what, elapsed, options.fraction?.(), options.note?.())}`);
  }, INTERVAL);
  // The line alone does not keep Node running.
  timer.unref();
  return {
    done: () => {
      clearInterval(timer);
      if (shown) write('\r\x1b[K');
      shown = false;
    },
  };
}

/** The text of the line; `elapsed` in milliseconds, `fraction` 0 to 1. */
export function progressLine(
  what: string,
  elapsed: number,
  fraction: number | undefined,
  note?: string,
): string {
  const percent = fraction === undefined ? '' : `${Math.floor(Math.min(1, Math.max(0, fraction)) * 100)} % `;
  const line = `${what} ... ${percent}(${Math.floor(elapsed / 1000)} s)${note === undefined ? '' : ` ${note}`}`;
  // A longer line would wrap, and a wrapped line cannot be erased. The words of a program may contain control characters.
  return line.replaceAll(/[^ -~]/g, '?').slice(0, 79);
}
