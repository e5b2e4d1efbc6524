/** Paths as bytes: what a name of a Linux file is, whatever the locale says. */

/**
 * Bytes held one to a character (latin1): a path can be a map key and be cut like text, and no byte is lost.
 * Never text to be shown: see `shown`.
 */
export type ByteString = string;

export function toBytes(text: ByteString): Buffer {
  return Buffer.from(text, 'latin1');
}

export function fromBytes(bytes: Buffer): ByteString {
  return bytes.toString('latin1');
}

const utf8 = new TextDecoder('utf-8', { fatal: true });
const LONGEST_SHOWN = 300;

/**
 * A name for a message: as it is when it is plain UTF-8, else with backslash escapes, never with a control character
 * (names and words from the testbed end up on a person's terminal). Cut to 300 characters.
 */
export function shown(name: Buffer | ByteString): string {
  const bytes = typeof name === 'string' ? toBytes(name) : name;
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    text = bytes.toString('latin1').replace(/[\x80-\xff]/g, octal);
  }
  // Control, format (right-to-left marks and such), surrogate and unassigned characters, and line separators.
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
 * A path as a word that `printf %b` of a POSIX shell turns back into the same bytes: Node's spawn carries only UTF-8.
 * A relative path gets a leading `./`, so that no tool takes it for an option.
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
