import { UsageError } from '../errors.ts';

export const EMPTY_COMMAND = '--bootstrapcmd is empty';
export const EMPTY_COMMAND_FACTS = { code: 'WRONG_VALUE', remedy: 'give a command like mmdebstrap' } as const;

/** As Python's shlex.split: only quotes and backslashes count. @throws UsageError for an open quote */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === undefined) break;
    if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (char === "'") {
      const end = closing(text, at);
      word = (word ?? '') + text.slice(at + 1, end);
      at = end;
    } else if (char === '"') {
      const end = closing(text, at);
      // In double quotes a backslash stays, except before another one or a double quote. (A shell has more exceptions.)
      word = (word ?? '') + text.slice(at + 1, end).replaceAll(/\\(["\\])/g, '$1');
      at = end;
    } else if (char === '\\') {
      at += 1;
      word = (word ?? '') + (text[at] ?? '\\');
    } else {
      word = (word ?? '') + char;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

function closing(text: string, start: number): number {
  const quote = text[start];
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === quote) return at;
    if (quote === '"' && text[at] === '\\') at += 1;
  }
  throw new UsageError(`the command ${text} has an open quote ${quote}`, {
    code: 'WRONG_VALUE',
    remedy: 'close it',
  });
}
