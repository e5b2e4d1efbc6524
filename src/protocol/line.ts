/** Words and lines of the protocol, as bytes: a line is latin1, a decoded word a Buffer, because paths need not be UTF-8. */
import { MisuseError } from '../errors.ts';

export interface Request {
  /** `_` is read as `-`, as the reference server does (autopkgtest sends `auxverb_debug_fail`). */
  readonly verb: string;
  readonly words: readonly string[];
}

/** @throws MisuseError for an empty line or a NUL */
export function parseRequest(line: string): Request {
  if (line.includes('\0'))
    throw new MisuseError('a request contains a NUL', { remedy: 'send one request per line, as text' });
  const [verb, ...words] = line.split(/[ \t\r\v\f]+/).filter((word) => word !== '');
  if (verb === undefined)
    throw new MisuseError('empty request', { remedy: 'send one of the commands in protocol.md' });
  return { verb: decodeText(verb).replaceAll('_', '-'), words };
}

/** @throws MisuseError for a `%` without two hexadecimal digits, and for an encoded NUL */
export function decodeWord(word: string): Buffer {
  const broken = /%(?![0-9A-Fa-f]{2}).{0,2}/s.exec(word);
  if (broken !== null) {
    throw new MisuseError(`bad percent code ${quoted(broken[0])} in ${quoted(word)}`, {
      remedy: 'write a percent sign as %25',
    });
  }
  const bytes = word.replace(/%(..)/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  if (bytes.includes('\0')) {
    throw new MisuseError(`encoded NUL in ${quoted(word)}`, {
      remedy: 'omit it, since no path or argument can contain one',
    });
  }
  return Buffer.from(bytes, 'latin1');
}

/** @throws MisuseError when the bytes are not UTF-8, which Node cannot pass to a process */
export function decodeText(word: string): string {
  const bytes = decodeWord(word);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new MisuseError(`${quoted(word)} is not UTF-8`, {
      remedy: 'use other bytes only in the paths of copyup, copydown and the files of command',
      cause,
    });
  }
}

/** Encodes every byte but `/` and the unreserved ones of RFC 3986. */
export function encodeWord(word: string | Buffer): string {
  let encoded = '';
  for (const byte of Buffer.from(word)) {
    const character = String.fromCharCode(byte);
    encoded += /[A-Za-z0-9_.~/-]/.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

export function encodeList(words: readonly string[]): string {
  return words.map(encodeWord).join(',');
}

/** A part of a request for a terminal: quoted, short, and without control characters. */
export function quoted(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not reach a terminal
  const plain = text.replace(/[\x00-\x1f\x7f-\xff]/g, '?');
  return `'${plain.length > 60 ? `${plain.slice(0, 57)}...` : plain}'`;
}
