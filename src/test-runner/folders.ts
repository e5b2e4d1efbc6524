/** The output directory, and the directory of the drivers. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { reasonOf, systemCodeOf, UsageError } from '../errors.ts';
import { makeFolders, makeTemporary } from '../folders.ts';

export interface Folders {
  /** Gets what autopkgtest's output directory has. */
  readonly output: string;
  /** For temporary files of drivers. */
  readonly temporary: string;
  /** A new directory for a driver. */
  next(name: string): string;
  /** Removes the drivers' directories, and the output directory unless the user named it. */
  remove(): void;
}

/** @throws UsageError when the directory is not empty or cannot be made */
export function openFolders(given: string | undefined): Folders {
  const output = given === undefined ? makeTemporary('virt-ts-unshare-test-') : makeOutput(resolve(given));
  // In the same file system, so that files can be moved.
  const drivers = mkdtempSync(join(output, '.drivers-'));
  // Short, because names of sockets are.
  const temporary = makeTemporary('vtu-test-');
  let count = 0;
  return {
    output,
    temporary,
    next: (name) => {
      count += 1;
      const folder = join(drivers, `${count}-${name}`);
      mkdirSync(folder);
      return folder;
    },
    remove: () => {
      for (const path of [given === undefined ? output : drivers, temporary]) {
        rmSync(path, { recursive: true, force: true });
      }
    },
  };
}

function makeOutput(path: string): string {
  try {
    makeFolders(path);
    if (readdirSync(path).length === 0) return path;
  } catch (cause) {
    throw new UsageError(`the output directory ${path} cannot be used: ${reasonOf(cause)}`, {
      code: systemCodeOf(cause) === 'ENOTDIR' ? 'NOT_A_DIRECTORY' : 'CANNOT_REACH',
      remedy: 'name another one',
      cause,
    });
  }
  throw new UsageError(`the output directory ${path} is not empty`, {
    code: 'NOT_EMPTY',
    remedy: 'name an empty or a new one',
  });
}
