/**
 * A line on stderr for what lasts over a second, when stderr is a terminal. It is taken away when the work is done, so that
 * what stays on the screen is what the log says. Elsewhere the log can say once what is waited for.
 */
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';

/** Milliseconds before the line appears, and between two looks at the fraction. */
const DELAY = 1000;
const INTERVAL = 200;

export interface Progress {
  /** Takes the line away; harmless when called again. */
  done(): void;
}

export interface ProgressOptions {
  /** The part that is done, 0 to 1; undefined when it cannot be told. */
  fraction?: () => number | undefined;
  /** What is being done just now. */
  note?: () => string | undefined;
  /** Called after the first second where the line is never shown. */
  unseen?: () => void;
  /** Writes to the terminal; default: stderr, if that is a terminal, else the line is never shown. */
  write?: ((text: string) => void) | undefined;
}

/** Shows `WHAT ... 42 % (3 s)` from the first second on until `done` is called. */
export function startProgress(what: string, options: ProgressOptions = {}): Progress {
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
  // The line alone keeps nothing running.
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
  // Longer lines would wrap, and a wrapped line cannot be taken back. A program's words may hold control characters.
  return line.replaceAll(/[^ -~]/g, '?').slice(0, 79);
}

function writeToStderr(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // A terminal that went away must not end the work.
  }
}
