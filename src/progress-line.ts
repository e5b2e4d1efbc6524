/** A line on stderr, if that is a terminal, for work that takes more than a second. It is erased when the work is done. */
import { isatty } from 'node:tty';
import { writeToStderr } from './stderr.ts';

/** Milliseconds. */
const DELAY = 1000;
const INTERVAL = 200;

interface ProgressLine {
  done(): void;
}

interface ProgressOptions {
  fraction?: () => number | undefined;
  note?: () => string | undefined;
  unseen?: () => void;
  write?: ((text: string) => void) | undefined;
}

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
  timer.unref();
  return {
    done: () => {
      clearInterval(timer);
      if (shown) write('\r\x1b[K');
      shown = false;
    },
  };
}

export function progressLine(
  what: string,
  elapsed: number,
  fraction: number | undefined,
  note?: string,
): string {
  const percent = fraction === undefined ? '' : `${Math.floor(Math.min(1, Math.max(0, fraction)) * 100)} % `;
  const line = `${what} ... ${percent}(${Math.floor(elapsed / 1000)} s)${note === undefined ? '' : ` ${note}`}`;
  // A wrapped line cannot be erased. Text of a program may contain control characters.
  return line.replaceAll(/[^ -~]/g, '?').slice(0, 79);
}
