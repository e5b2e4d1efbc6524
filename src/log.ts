/**
 * What the program reports on stderr; stdout belongs to the protocol. The command line makes one object and hands it down.
 */
import { writeToStderr } from './stderr.ts';

export interface Log {
  /** Reported only with --debug. */
  debug(message: string): void;
  /** Always reported: what a person has to know. */
  warn(message: string): void;
  /** Whether debug messages are reported, so that costly ones need not be composed. */
  readonly debugging: boolean;
}

const PROGRAM = 'virt-ts-unshare';

/** A text that cannot control a terminal: control characters other than newline and tab become `?`. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not reach a terminal
  return text.replaceAll(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '?');
}

function report(line: string): void {
  writeToStderr(`${PROGRAM}: ${printable(line)}\n`);
}

export function createLog({ debug = false }: { debug?: boolean } = {}): Log {
  return {
    debugging: debug,
    debug: debug ? (message) => report(`debug: ${message}`) : () => {},
    warn: report,
  };
}

/** Reports nothing; the library's default. */
export const silentLog: Log = { debugging: false, debug: () => {}, warn: () => {} };

/** A word quoted for a POSIX shell, so that a logged command can be pasted. */
export function shellQuote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The start of an argv, for a sentence: without the text of scripts. */
export function briefLine(argv: readonly string[]): string {
  const short = (word: string) => (word.includes('\n') || word.length > 100 ? '…' : shellQuote(word));
  return [...argv.slice(0, 8).map(short), ...(argv.length > 8 ? ['…'] : [])].join(' ');
}

/** An argv as one pasteable line. Of long words (the text of a script) only the start, to keep the log readable. */
export function shellLine(argv: readonly string[]): string {
  const short = (word: string) =>
    word.length > 500 ? `${word.slice(0, 80).replaceAll(/\s+/g, ' ')}…` : word;
  return argv.map((word) => shellQuote(short(word))).join(' ');
}
