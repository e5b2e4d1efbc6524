/** Where the report of leaks goes: stderr, or the end of a file. */
import { appendFileSync, writeSync } from 'node:fs';
import type { Leak } from './leak.ts';
import { type LeakMoment, leakLine, tooManyLine } from './leak-text.ts';

/** So many lines say enough; a test may leave any number of files. */
const MOST = 1000;

/** One line for each leak. On stderr those of the format `text` have the program's name in front, as all that it says. */
export function reportLeaks(
  leaks: readonly Leak[],
  at: LeakMoment,
  { format, file }: { readonly format: 'text' | 'json'; readonly file: string | undefined },
): void {
  const lines = leaks.slice(0, MOST).map((leak) => leakLine(leak, at, format));
  if (leaks.length > MOST) lines.push(tooManyLine(leaks.length - MOST, at, format));
  const prefix = format === 'text' && file === undefined ? 'virt-ts-unshare: ' : '';
  const text = lines.map((line) => `${prefix}${line}\n`).join('');
  if (text === '') return;
  if (file === undefined) writeSync(2, text);
  else appendFileSync(file, text);
}
