/**
 * What the program says on stderr; stdout belongs to the protocol. One object, made by the command line and handed
 * down, so that nothing here is module-level state. This file imports nothing but Node.
 */
import { writeSync } from 'node:fs';

export interface Log {
  /** Told only with --debug. */
  debug(message: string): void;
  /** Told always: what a person has to know. */
  warn(message: string): void;
  /** True when debug messages are shown, so that costly ones need not be composed. */
  readonly debugging: boolean;
}

const PROGRAM = 'virt-ts-unshare';

/** A text that cannot steer a terminal: control characters other than newline and tab become `?`. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it is about
  return text.replaceAll(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '?');
}

/** Writes the whole line at once and synchronously: lines of several writers stay whole, and none is lost at exit. */
function tell(line: string): void {
  try {
    writeSync(2, `${PROGRAM}: ${printable(line)}\n`);
  } catch {
    // A closed or full stderr must not end a testbed.
  }
}

export function createLog({ debug = false }: { debug?: boolean } = {}): Log {
  return {
    debugging: debug,
    debug: debug ? (message) => tell(`debug: ${message}`) : () => {},
    warn: tell,
  };
}

/** Says nothing; the library's default. */
export const silentLog: Log = { debugging: false, debug: () => {}, warn: () => {} };

/** A word quoted for a POSIX shell, so that a logged command can be pasted. */
export function shellQuote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The beginning of an argv, for a sentence: without the text of scripts. */
export function briefLine(argv: readonly string[]): string {
  const short = (word: string) => (word.includes('\n') || word.length > 100 ? '…' : shellQuote(word));
  return [...argv.slice(0, 8).map(short), ...(argv.length > 8 ? ['…'] : [])].join(' ');
}

/** An argv as one pasteable line. Long words (the text of a script) are cut to their beginning, to keep the log readable. */
export function shellLine(argv: readonly string[]): string {
  const short = (word: string) =>
    word.length > 500 ? `${word.slice(0, 80).replaceAll(/\s+/g, ' ')}…` : word;
  return argv.map((word) => shellQuote(short(word))).join(' ');
}
