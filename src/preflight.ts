/**
 * What can be found wrong on the host before the first `ok`, by cheap looks at the file system: nothing is started and
 * nothing is made. Everything else is reported by `open`.
 */
import { accessSync, constants, existsSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { reasonOf, systemCodeOf, UsageError } from './errors.ts';
import { findProgram } from './processes/find.ts';
import { chooseRoot } from './rootfs/source.ts';
import type { TestbedOptions } from './testbed/types.ts';
import { neededTools } from './tools.ts';

/** Throws UsageError with the first thing found. */
export async function preflight(options: TestbedOptions, env: Readonly<NodeJS.ProcessEnv>): Promise<void> {
  const { root, binds, scratch, network, leakFile } = options;
  chooseRoot(root, env);
  for (const { outside, readOnly } of binds) look(readOnly === true ? '--bind-ro' : '--bind', outside);
  if (scratch.kind === 'directory') {
    const path = scratch.create === true ? existingPart(scratch.path) : scratch.path;
    if (!look('the scratch', path).isDirectory())
      throw new UsageError(`the scratch ${path} is no directory; name one`);
    access('the scratch', path, constants.W_OK | constants.X_OK);
  }
  if (leakFile !== undefined) checkLeakFile(leakFile);
  for (const { name, package: debianPackage } of neededTools(network !== 'host')) {
    if (findProgram(name) === undefined) {
      throw new UsageError(`the program ${name} is missing`, {
        code: 'NO_PROGRAM',
        remedy: `install the package ${debianPackage}, or correct PATH`,
      });
    }
  }
  if (network === 'private') {
    // Loads Node's processes and sockets, which the others need not wait for.
    const { checkOutside } = await import('./network/outside.ts');
    checkOutside(options);
  }
}

function look(what: string, path: string): Stats {
  try {
    return statSync(path);
  } catch (cause) {
    const problem =
      systemCodeOf(cause) === 'ENOENT' ? 'does not exist' : `cannot be reached: ${reasonOf(cause)}`;
    throw new UsageError(`${what} ${path} ${problem}; name one that this user can reach`, { cause });
  }
}

/** It is made when there is something to tell, which is too late to learn that it cannot be. */
function checkLeakFile(path: string): void {
  const there = existsSync(path);
  const folder = there ? path : dirname(path);
  if (look('--report-leaks:', folder).isDirectory() === there) {
    throw new UsageError(`--report-leaks: ${folder} is ${there ? 'a' : 'no'} directory; name a file in one`);
  }
  access('--report-leaks:', folder, there ? constants.W_OK : constants.W_OK | constants.X_OK);
}

/** The path itself or the nearest folder above it that is there. */
function existingPart(path: string): string {
  return existsSync(path) || path === '/' ? path : existingPart(dirname(path));
}

function access(option: string, path: string, mode: number): void {
  try {
    accessSync(path, mode);
  } catch (cause) {
    throw new UsageError(
      `${option} ${path} may not be used by this user: ${reasonOf(cause)}; change its mode`,
      {
        cause,
      },
    );
  }
}
