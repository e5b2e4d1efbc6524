/** Bytes as a latin1 string, so that a path can be the key of a map. Not for display: see `shown`. */
export type ByteString = string;

function toBytes(text: ByteString): Buffer {
  return Buffer.from(text, 'latin1');
}

export function fromBytes(bytes: Buffer): ByteString {
  return bytes.toString('latin1');
}

const utf8 = new TextDecoder('utf-8', { fatal: true });
const LONGEST_SHOWN = 300;

/** A name for a message, at most 300 characters; what could control a terminal is escaped. */
export function shown(name: Buffer | ByteString): string {
  const bytes = typeof name === 'string' ? toBytes(name) : name;
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    text = bytes.toString('latin1').replace(/[\x80-\xff]/g, octal);
  }
  text = text.replace(/[\p{C}\u2028\u2029]/gu, (char) => [...Buffer.from(char)].map(octalByte).join(''));
  return text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text;
}

function octal(char: string): string {
  return octalByte(char.charCodeAt(0));
}

function octalByte(byte: number): string {
  return `\\${byte.toString(8).padStart(3, '0')}`;
}

/**
 * A path for `printf %b`, because Node's spawn takes only UTF-8. `./` begins a relative path, so that it is not an option.
 */
export function shellEscaped(path: Buffer): string {
  let word = '';
  const bytes = path[0] === 0x2f ? path : Buffer.concat([Buffer.from('./'), path]);
  for (const byte of bytes) {
    const char = String.fromCharCode(byte);
    word += /[A-Za-z0-9_./-]/.test(char) ? char : `\\0${byte.toString(8).padStart(3, '0')}`;
  }
  return word;
}
