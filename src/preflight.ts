/**
 * What can be found wrong on the host before the first `ok`, by cheap looks at the file system: nothing is started and
 * nothing is made. Everything else is reported by `open`.
 */
import { accessSync, constants, type Stats, statSync } from 'node:fs';
import { codeOf, messageOf, UsageError } from './errors.ts';
import type { TestbedOptions } from './testbed/types.ts';

/** Host programs that every testbed needs, and the Debian package that has them. */
const TOOLS: Readonly<Record<string, string>> = {
  unshare: 'util-linux',
  nsenter: 'util-linux',
  pivot_root: 'util-linux',
  mount: 'mount',
  umount: 'mount',
  tar: 'tar',
};

/** Folders that PATH of an ordinary user may lack. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'];

/** Throws UsageError with the first thing found. */
export function preflight(options: TestbedOptions): void {
  const { root, binds, scratch, prefix, network } = options;
  if (root.tarball !== undefined) readableFile(root.tarball);
  if (root.directory !== undefined) directory('--rootfs', root.directory, constants.R_OK | constants.X_OK);
  for (const { outside } of binds) look('--bind', outside);
  if (scratch.kind === 'directory') directory('--scratch', scratch.path, constants.W_OK | constants.X_OK);
  if (prefix !== undefined) {
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1) || '.';
    directory('--prefix', folder, constants.W_OK | constants.X_OK);
  }
  const tools = { ...TOOLS, ...(network === 'host' ? {} : { ip: 'iproute2' }) };
  for (const [tool, debianPackage] of Object.entries(tools)) {
    if (!isInstalled(tool)) {
      throw new UsageError(
        `the program ${tool} is missing; install the package ${debianPackage} or mend PATH`,
      );
    }
  }
}

function look(option: string, path: string): Stats {
  try {
    return statSync(path);
  } catch (cause) {
    const problem = codeOf(cause) === 'ENOENT' ? 'does not exist' : `cannot be reached: ${messageOf(cause)}`;
    throw new UsageError(`${option} ${path} ${problem}; name one that this user can read`, { cause });
  }
}

function readableFile(path: string): void {
  const stats = look('--tarball', path);
  if (stats.isDirectory()) throw new UsageError(`--tarball ${path} is a directory; name it with --rootfs`);
  access('--tarball', path, constants.R_OK);
}

function directory(option: string, path: string, mode: number): void {
  if (!look(option, path).isDirectory()) throw new UsageError(`${option} ${path} is no directory; name one`);
  access(option, path, mode);
}

function access(option: string, path: string, mode: number): void {
  try {
    accessSync(path, mode);
  } catch (cause) {
    throw new UsageError(
      `${option} ${path} may not be used by this user: ${messageOf(cause)}; change its mode`,
      {
        cause,
      },
    );
  }
}

function isInstalled(program: string): boolean {
  return [...(process.env.PATH ?? '').split(':'), ...SYSTEM_FOLDERS].some((folder) => {
    try {
      accessSync(`${folder}/${program}`, constants.X_OK);
      return folder !== '';
    } catch {
      return false;
    }
  });
}
