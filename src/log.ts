/** What the program reports on stderr; stdout belongs to the protocol. */
import { writeToStderr } from './stderr.ts';

export interface Log {
  debug(message: string): void;
  warn(message: string): void;
  /** Whether debug messages are reported, so that others need not be composed. */
  readonly debugging: boolean;
}

const PROGRAM = 'virt-ts-unshare';

/** Control characters other than newline and tab become `?`, because they can control a terminal. */
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

export const silentLog: Log = { debugging: false, debug: () => {}, warn: () => {} };

export function shellQuote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The start of an argv, without the text of scripts. */
export function briefLine(argv: readonly string[]): string {
  const short = (word: string) => (word.includes('\n') || word.length > 100 ? '…' : shellQuote(word));
  return [...argv.slice(0, 8).map(short), ...(argv.length > 8 ? ['…'] : [])].join(' ');
}

/** An argv that can be pasted into a shell; of long words only the start. */
export function shellLine(argv: readonly string[]): string {
  const short = (word: string) =>
    word.length > 500 ? `${word.slice(0, 80).replaceAll(/\s+/g, ' ')}…` : word;
  return argv.map((word) => shellQuote(short(word))).join(' ');
}
