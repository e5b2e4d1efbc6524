/** Errors that can be found before the first `ok` by reading files. `open` reports all others. */
import { accessSync, constants, existsSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { reasonOf, systemCodeOf, UsageError, type VirtError } from './errors.ts';
import { option } from './option-words.ts';
import { hasProgram } from './processes/find.ts';
import { chooseRoot, type RootChoice } from './rootfs/source.ts';
import type { TestbedOptions } from './testbed/types.ts';
import { neededTools } from './tools.ts';

/** Gives the root filesystem that it has found, so that no second search is needed. */
export async function preflight(
  options: TestbedOptions,
  env: Readonly<NodeJS.ProcessEnv>,
): Promise<RootChoice> {
  const { root, binds, scratch, network, leakFile, eventFile, init } = options;
  const choice = chooseRoot(root, env);
  for (const { outside, readOnly } of binds) look(option(readOnly === true ? 'bind-ro' : 'bind'), outside);
  if (scratch.kind === 'directory') {
    const path = scratch.create === true ? existingPart(scratch.path) : scratch.path;
    if (!look('the scratch directory', path).isDirectory()) {
      throw new UsageError(`the scratch directory ${path} is not a directory`, {
        code: 'NOT_A_DIRECTORY',
        remedy: 'name a directory',
      });
    }
    access('the scratch directory', path, constants.W_OK | constants.X_OK);
  }
  if (init !== undefined && init !== 'auto') await checkCgroup();
  if (leakFile !== undefined) checkOutputFile('--report-leaks:', leakFile);
  if (eventFile !== undefined) checkOutputFile('--events:', eventFile);
  for (const { name, package: debianPackage } of neededTools(network !== 'host')) {
    if (!hasProgram(name)) {
      throw new UsageError(`the program ${name} is missing`, {
        code: 'NO_PROGRAM',
        remedy: `install the package ${debianPackage}, or correct PATH`,
      });
    }
  }
  if (network === 'private') {
    // It loads Node's modules for processes and sockets, which other networks do not need.
    const { checkOutside } = await import('./network/outside.ts');
    checkOutside(options);
  }
  return choice;
}

async function checkCgroup(): Promise<void> {
  // Only testbeds with an init need a cgroup.
  const { findCgroup, noCgroup } = await import('./namespaces/cgroups.ts');
  const found = findCgroup();
  if (found.path === undefined) throw asUsage(noCgroup(found));
}

function asUsage({ message, code }: VirtError): UsageError {
  return new UsageError(message, { code });
}

function look(what: string, path: string): Stats {
  try {
    return statSync(path);
  } catch (cause) {
    const problem =
      systemCodeOf(cause) === 'ENOENT' ? 'does not exist' : `cannot be reached: ${reasonOf(cause)}`;
    throw new UsageError(`${what} ${path} ${problem}`, {
      code: 'CANNOT_REACH',
      remedy: 'name one that this user can reach',
      cause,
    });
  }
}

/** The file is created later, when it is too late to find that it cannot be. */
export function checkOutputFile(option: string, path: string): void {
  const there = exists(option, path);
  const folder = there ? path : dirname(path);
  if (!there && !existsSync(folder)) {
    throw new UsageError(`${option} ${folder} does not exist`, {
      code: 'CANNOT_REACH',
      remedy: 'make this directory, or name a file in one that exists',
    });
  }
  if (look(option, folder).isDirectory() === there) {
    throw new UsageError(`${option} ${folder} is ${there ? 'a' : 'not a'} directory`, {
      code: there ? 'IS_A_DIRECTORY' : 'NOT_A_DIRECTORY',
      remedy: 'name a file in a directory',
    });
  }
  access(option, folder, there ? constants.W_OK : constants.W_OK | constants.X_OK);
}

/** Names that are too long, or links that lead to themselves, cannot be made either. */
function exists(option: string, path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if (['ELOOP', 'ENAMETOOLONG'].includes(systemCodeOf(error) ?? '')) look(option, path);
    return false;
  }
}

function existingPart(path: string): string {
  return existsSync(path) || path === '/' ? path : existingPart(dirname(path));
}

function access(option: string, path: string, mode: number): void {
  try {
    accessSync(path, mode);
  } catch (cause) {
    throw new UsageError(`this user may not use ${option} ${path}: ${reasonOf(cause)}`, {
      code: 'NO_PERMISSION',
      remedy: 'change its mode',
      cause,
    });
  }
}
