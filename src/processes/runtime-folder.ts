/** The private directory in which processes of one user find each other. */
import { lstatSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemCodeOf, UsageError } from '../errors.ts';

/** $XDG_RUNTIME_DIR/virt-ts-unshare, or /tmp/virt-ts-unshare-UID. @throws UsageError when it is not private */
export function runtimeFolder(env: Readonly<NodeJS.ProcessEnv>): string {
  const uid = process.geteuid?.() ?? 0;
  const runtime = env.XDG_RUNTIME_DIR;
  const path =
    runtime !== undefined && isPrivate(runtime, uid)
      ? join(runtime, 'virt-ts-unshare')
      : `/tmp/virt-ts-unshare-${uid}`;
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') throw error;
  }
  if (!isPrivate(path, uid)) {
    throw new UsageError(`${path} is not a directory of this user with mode 700`, {
      code: 'RUNTIME_FOLDER_OPEN',
      remedy: 'remove it, or set XDG_RUNTIME_DIR',
    });
  }
  return path;
}

/** Another process of this user may have been started with another environment. */
export function runtimeFolders(env: Readonly<NodeJS.ProcessEnv>): string[] {
  const uid = process.geteuid?.() ?? 0;
  const runtime = [env.XDG_RUNTIME_DIR, `/run/user/${uid}`].flatMap((path) =>
    path === undefined || path === '' ? [] : [join(path, 'virt-ts-unshare')],
  );
  return [...new Set([...runtime, `/tmp/virt-ts-unshare-${uid}`])].filter((path) => isPrivate(path, uid));
}

function isPrivate(path: string, uid: number): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats?.isDirectory() === true && stats.uid === uid && (stats.mode & 0o077) === 0;
}

/** For what has to be found after a logout, at which systemd-logind removes $XDG_RUNTIME_DIR. @throws UsageError */
export function lastingFolder(env: Readonly<NodeJS.ProcessEnv>): string {
  try {
    return runtimeFolder({});
  } catch (error) {
    // Another user may have made the one below /tmp.
    if (!(error instanceof UsageError)) throw error;
    return runtimeFolder(env);
  }
}
