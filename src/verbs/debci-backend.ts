/** The backend `ts_unshare` of debci: puts its files among debci's own, and takes them away. */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { reasonOf, UsageError } from '../errors.ts';
import { shellQuote } from '../log.ts';
import { packageRoot } from '../scripts.ts';

// Without a hyphen: debci 3.12 makes the name of a shell variable of it.
const NAME = 'ts_unshare';
/** Starts this program. Only `debci install` makes it: the Debian package has its program on PATH. */
const SERVER = 'server';

export const PREFIX = '/usr';

/** debci's directory below a prefix: that of an installed debci, or a checkout of it. @throws UsageError */
export function findDebci(prefix: string): string {
  const found = [prefix, join(prefix, 'share/debci')].find((each) => existsSync(join(each, 'backends')));
  if (found !== undefined) return found;
  throw new UsageError(`there is no debci in ${prefix}: it has no directory backends`, {
    code: 'NO_DEBCI',
    remedy: 'install the package debci-worker, or name the directory of debci with --prefix',
  });
}

/** Replaces an older one at once, so that a worker never finds half of it. Gives its path. @throws UsageError */
export function installBackend(debci: string): string {
  const backends = join(debci, 'backends');
  if (hasDebianPackage(debci)) return join(backends, NAME);
  const path = ownPath(debci);
  return changing(path, () => {
    const work = mkdtempSync(join(backends, `.${NAME}-`));
    const old = join(work, 'old');
    try {
      const made = join(work, 'new');
      cpSync(join(packageRoot(), 'debci', NAME), made, { recursive: true });
      for (const name of readdirSync(made)) {
        chmodSync(join(made, name), name.endsWith('.sh') ? 0o644 : 0o755);
      }
      chmodSync(made, 0o755);
      writeFileSync(join(made, SERVER), serverScript(process.execPath, packageRoot()), { mode: 0o755 });
      chmodSync(join(made, SERVER), 0o755);
      if (existsSync(path)) renameSync(path, old);
      try {
        renameSync(made, path);
      } catch (error) {
        if (existsSync(old)) renameSync(old, path);
        throw error;
      }
    } finally {
      // An old one that could not be put back stays there.
      if (existsSync(path) || !existsSync(old)) rmSync(work, { recursive: true, force: true });
    }
    return path;
  });
}

/** Gives the path that is gone now; undefined when there was none. @throws UsageError */
export function removeBackend(debci: string): string | undefined {
  const path = ownPath(debci);
  if (!existsSync(path)) return undefined;
  return changing(path, () => {
    rmSync(path, { recursive: true });
    return path;
  });
}

export function serverOf(backend: string): string {
  const server = join(backend, SERVER);
  return existsSync(server) ? server : 'virt-ts-unshare';
}

/** Whether this program and the backend are those of the Debian package. */
function hasDebianPackage(debci: string): boolean {
  return packageRoot() === '/usr/share/nodejs/virt-ts-unshare' && existsSync(join(debci, 'backends', NAME));
}

/** With the path of Node, because services have a short PATH. */
function serverScript(node: string, folder: string): string {
  const [program, script] = [node, join(folder, 'bin/virt-ts-unshare')].map(shellQuote);
  return `#!/bin/sh\n# Made by virt-ts-unshare debci install.\nexec ${program} -- ${script} "$@"\n`;
}

/** @throws UsageError for a backend that `installBackend` has not made */
function ownPath(debci: string): string {
  const path = join(debci, 'backends', NAME);
  if (!existsSync(path) || existsSync(join(path, SERVER))) return path;
  throw new UsageError(`${path} was not made by virt-ts-unshare debci install`, {
    code: 'OTHER_BACKEND',
    remedy: 'if it belongs to the Debian package virt-ts-unshare, it is kept and removed with that package',
  });
}

function changing<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new UsageError(`cannot change ${path}: ${reasonOf(cause)}`, {
      code: 'CANNOT_WRITE',
      remedy: 'do it as the owner of that directory, as root for an installed debci',
      cause,
    });
  }
}
