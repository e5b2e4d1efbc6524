import { mkdirSync, mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { reasonOf, systemCodeOf, UsageError } from './errors.ts';
import { scarceRemedy } from './scarce.ts';

/** As mkdir -p, because Node's recursive mkdir never returns below /proc. @throws the error of mkdir(2) */
export function makeFolders(path: string, mode = 0o777): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  makeFolders(dirname(path), mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') throw error;
  }
}

/** A new directory for temporary files; its name has six random characters behind the prefix. @throws UsageError */
export function makeTemporary(prefix: string): string {
  try {
    return mkdtempSync(join(tmpdir(), prefix));
  } catch (cause) {
    const code = systemCodeOf(cause);
    throw new UsageError(`cannot make a temporary directory in ${tmpdir()}: ${reasonOf(cause)}`, {
      code: 'NO_TEMPORARY_DIRECTORY',
      remedy: `${code === 'ENOSPC' ? `${scarceRemedy(code)}, or ` : ''}set TMPDIR to a directory that this user can write to`,
      cause,
    });
  }
}
