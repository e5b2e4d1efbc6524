/**
 * How far work has come that takes more than a second: a line on stderr, with a bar where the end is known, if that is a terminal. It is
 * erased when the work is done. Elsewhere a line is reported after some seconds and then each minute, if the work has a log.
 */
import { isatty } from 'node:tty';
import { terminalColumns } from './host.ts';
import type { Log } from './log.ts';
import { showLine } from './stderr.ts';

/** Milliseconds. */
const DELAY = 1_000;
const INTERVAL = 200;
const PLAIN_DELAY = 10_000;
const PLAIN_INTERVAL = 60_000;

interface ProgressLine {
  done(): void;
}

interface ProgressOptions {
  fraction?: () => number | undefined;
  note?: () => string | undefined;
  /** Where there is no terminal, gets a few plain lines. */
  log?: Pick<Log, 'warn'>;
  /** What the first of them says, after a second. Default: `what`, after ten. */
  plain?: string;
  show?: ((line: string) => void) | undefined;
}

export function startProgress(what: string, options: ProgressOptions = {}): ProgressLine {
  const show = options.show ?? (isLively() ? showLine : undefined);
  return show === undefined ? startPlain(what, options) : startLine(what, options, show);
}

/** A dumb terminal cannot erase a line. */
function isLively(): boolean {
  return isatty(2) && process.env.TERM !== 'dumb';
}

function startLine(what: string, options: ProgressOptions, show: (line: string) => void): ProgressLine {
  const started = Date.now();
  let look: Look | undefined;
  const measure = () => {
    look = { ...lookOf(process.env), columns: terminalColumns() };
  };
  const timer = setInterval(() => {
    const elapsed = Date.now() - started;
    if (elapsed < DELAY) return;
    if (look === undefined) {
      measure();
      process.on('SIGWINCH', measure);
    }
    show(progressLine({ what, elapsed, fraction: options.fraction?.(), note: options.note?.() }, look));
  }, INTERVAL);
  timer.unref();
  return {
    done: () => {
      clearInterval(timer);
      process.removeListener('SIGWINCH', measure);
      if (look !== undefined) show('');
      look = undefined;
    },
  };
}

function startPlain(what: string, { fraction, log, plain }: ProgressOptions): ProgressLine {
  if (log === undefined) return { done: () => {} };
  const started = Date.now();
  let timer = setTimeout(
    () => {
      log.warn(plain ?? what);
      timer = setInterval(() => {
        const minutes = Math.round((Date.now() - started) / PLAIN_INTERVAL);
        const part = fraction?.();
        log.warn(`${what}: ${part === undefined ? '' : `${percent(part)}, `}${minutes} min`);
      }, PLAIN_INTERVAL).unref();
    },
    plain === undefined ? PLAIN_DELAY : DELAY,
  ).unref();
  return { done: () => clearTimeout(timer) };
}

interface State {
  readonly what: string;
  /** Milliseconds. */
  readonly elapsed: number;
  readonly fraction?: number | undefined;
  readonly note?: string | undefined;
}

interface Look {
  readonly columns: number;
  /** The terminal shows characters that are not ASCII. */
  readonly unicode: boolean;
  readonly colour: boolean;
}

export function lookOf({
  LC_ALL,
  LC_CTYPE,
  LANG,
  NO_COLOR,
}: Readonly<NodeJS.ProcessEnv>): Omit<Look, 'columns'> {
  return {
    unicode: /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || ''),
    colour: NO_COLOR === undefined || NO_COLOR === '',
  };
}

const BAR = 24;
const SHORTEST_BAR = 8;
/** Of what is done, that the bar does not take the place of. */
const SHORTEST_TEXT = 16;

/** `unpacking trixie.tar [######------]  50 %  3 s`; at most one column less than the terminal has, where a line would wrap. */
export function progressLine(
  { what, elapsed, fraction, note }: State,
  look: Look = { columns: 80, unicode: false, colour: false },
): string {
  const room = look.columns - 1;
  const time = `${Math.floor(elapsed / 1000)} s`;
  const end = fraction === undefined ? `  ${time}` : `  ${percent(fraction)}  ${time}`;
  if (fraction === undefined) {
    const start = cut(what, Math.max(0, room - end.length), look);
    const rest = cut(note === undefined ? '' : `  ${note}`, room - start.length - end.length, look);
    return `${start}${end}${rest}`.slice(0, Math.max(0, room));
  }
  const text = cut(what, Math.max(SHORTEST_TEXT, room - end.length - BAR - 3), look);
  const length = Math.min(BAR, room - text.length - end.length - 3);
  if (length >= SHORTEST_BAR) return `${text} ${bar(fraction, length, look)}${end}`;
  const start = cut(what, Math.max(0, room - end.length), look);
  return `${start}${end}`.trimStart().slice(0, Math.max(0, room));
}

function bar(fraction: number, length: number, { unicode, colour }: Look): string {
  const full = Math.floor(within(fraction) * length);
  const [done, left] = unicode ? ['━', '─'] : ['#', '-'];
  const paint = (text: string, code: number) =>
    colour && text !== '' ? `\x1b[${code}m${text}\x1b[0m` : text;
  const parts = `${paint(done.repeat(full), 36)}${paint(left.repeat(length - full), 2)}`;
  return unicode ? ` ${parts} ` : `[${parts}]`;
}

function percent(fraction: number): string {
  return `${Math.floor(within(fraction) * 100)} %`.padStart(5);
}

function within(fraction: number): number {
  return Math.min(1, Math.max(0, fraction));
}

/** Text of a program may contain control characters, and characters of unknown width. */
function cut(text: string, room: number, { unicode }: Look): string {
  const plain = text.replaceAll(/[^ -~]/g, '?');
  if (plain.length <= room) return plain;
  const mark = unicode ? '…' : '...';
  return room < mark.length ? '' : plain.slice(0, room - mark.length) + mark;
}
