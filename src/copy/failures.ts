import { shown } from '../archive/bytes.ts';
import { CopyError, reasonOf, systemCodeOf, VirtError } from '../errors.ts';
import { roomRemedy } from '../namespaces/failures.ts';
import { option } from '../option-words.ts';
import { remedyInWords, scarceRemedy } from '../scarce.ts';

export function factsOf(error: unknown): { code?: string; remedy?: string | undefined } {
  if (error instanceof VirtError) return { code: error.code, remedy: error.remedy };
  return { remedy: scarceRemedy(systemCodeOf(error)) };
}

export function sentenceOf(error: unknown): string {
  const reason = reasonOf(error);
  const remedy = error instanceof VirtError ? error.remedy : undefined;
  return remedy === undefined ? reason : reason.slice(0, -`; ${remedy}`.length);
}

export function cannotRead(error: unknown): CopyError {
  return new CopyError(`cannot read it on the host: ${sentenceOf(error)}`, {
    code: 'CANNOT_READ',
    ...factsOf(error),
    cause: error,
  });
}

export function cannotWrite(path: Buffer, error: unknown): CopyError {
  return new CopyError(`cannot write to ${shown(path)} on the host: ${sentenceOf(error)}`, {
    code: 'CANNOT_WRITE',
    remedy: HOST_REMEDIES[systemCodeOf(error) ?? ''],
    ...given(factsOf(error)),
    cause: error,
  });
}

const NAME_THE_FILE = 'name the file, not its directory';
const MAKE_DIRECTORY = 'make its directory first';

/** Of files that are written on the host. */
const HOST_REMEDIES: Readonly<Record<string, string>> = {
  ENOENT: MAKE_DIRECTORY,
  EISDIR: NAME_THE_FILE,
  EACCES: 'name one that this user may write',
  EPERM: 'name one that this user may write',
};

/** Without what is undefined, which would hide what it is put over. */
function given({ code, remedy }: ReturnType<typeof factsOf>): ReturnType<typeof factsOf> {
  return { ...(code === undefined ? {} : { code }), ...(remedy === undefined ? {} : { remedy }) };
}

export function isDirectory(): CopyError {
  return new CopyError('it is a directory', {
    code: 'IS_A_DIRECTORY',
    remedy: 'write a slash at the end of both paths to copy a directory',
  });
}

/** Of the place in a testbed where a file is to be written. */
export function namesDirectory(): CopyError {
  return new CopyError('a directory has this name there', { code: 'IS_A_DIRECTORY', remedy: NAME_THE_FILE });
}

export function noDirectory(): CopyError {
  return new CopyError('its directory does not exist there', {
    code: 'NO_DIRECTORY',
    remedy: MAKE_DIRECTORY,
  });
}

const EXISTS = 'name one that exists';

/** The words are hostile, and only choose a remedy. */
const REMEDIES_OF_WORDS: readonly (readonly [RegExp, string])[] = [
  [/^mkdir: .*: No such file or directory/, MAKE_DIRECTORY],
  [/^mkdir: .*: (File exists|Not a directory)/, 'name a directory'],
  [/^(cannot open |can't open )?[^:]*: No such file( or directory)?$/, EXISTS],
  [/^cd: (can't cd to |.*: No such file or directory$)/, EXISTS],
];

/** @param words of a program at that end of a copy */
export function remedyOfWords(words: string, place: 'host' | 'testbed'): string | undefined {
  if (/No space left/.test(words)) return place === 'testbed' ? roomRemedy() : scarceRemedy('ENOSPC');
  return REMEDIES_OF_WORDS.find(([pattern]) => pattern.test(words))?.[1] ?? remedyInWords(words);
}

export function notRegular(): CopyError {
  return new CopyError('it is not a regular file', { code: 'NOT_A_FILE' });
}

export function noTar(): CopyError {
  return new CopyError('the testbed has no tar, which copies of directories need', {
    code: 'NO_TAR',
    remedy: 'install tar or busybox in it',
  });
}

export function checkSockets(words: string): void {
  if (!/: socket ignored/.test(words)) return;
  throw new CopyError(`a socket cannot be copied: ${words}`, { code: 'SOCKET' });
}

export function tooManyBytes(maxBytes: number, origin = 'the testbed'): CopyError {
  return new CopyError(`more than ${maxBytes} bytes come from ${origin}`, {
    code: 'TOO_MANY_BYTES',
    remedy: `give a larger ${option('max-copy')}`,
  });
}
