/** Started through sudo: back to the user who called it, since nothing here needs root. */
import { lstatSync } from 'node:fs';
import { userInfo } from 'node:os';
import { messageOf, UsageError } from './errors.ts';

declare global {
  namespace NodeJS {
    interface Process {
      /** As initgroups(3). In Node's documentation, but not in its types. */
      initgroups?(user: string | number, extraGroup: string | number): void;
    }
  }
}

/** The word that keeps root. */
export const STAY_ROOT = '--stay-root';

/** Who called sudo, by the variables that it sets; undefined when nobody did, or root itself. */
export function sudoCaller(
  env: Readonly<NodeJS.ProcessEnv>,
): { readonly uid: number; readonly gid: number; readonly name: string } | undefined {
  const { SUDO_UID = '', SUDO_GID = '', SUDO_USER = '' } = env;
  if (![SUDO_UID, SUDO_GID].every((id) => /^\d+$/.test(id)) || Number(SUDO_UID) === 0) return undefined;
  return { uid: Number(SUDO_UID), gid: Number(SUDO_GID), name: SUDO_USER };
}

/**
 * Becomes the caller of sudo, with the caller's groups, home and runtime directory. Does nothing for who is not root.
 * @throws UsageError when that cannot be done: going on as root is not what was asked for
 */
export function leaveSudo(env: NodeJS.ProcessEnv): void {
  const caller = sudoCaller(env);
  if (process.geteuid?.() !== 0 || caller === undefined) return;
  try {
    // A caller without a name has no more groups than its own.
    if (caller.name === '') process.setgroups?.([caller.gid]);
    else process.initgroups?.(caller.name, caller.gid);
    process.setgid?.(caller.gid);
    process.setuid?.(caller.uid);
    const { username, homedir } = userInfo();
    Object.assign(env, { HOME: homedir, USER: username, LOGNAME: username });
  } catch (cause) {
    throw new UsageError(
      `cannot become user ${caller.uid}, who called sudo: ${messageOf(cause)}; use ${STAY_ROOT}`,
      {
        cause,
      },
    );
  }
  const runtime = `/run/user/${caller.uid}`;
  if (lstatSync(runtime, { throwIfNoEntry: false })?.uid === caller.uid) env.XDG_RUNTIME_DIR = runtime;
  else delete env.XDG_RUNTIME_DIR;
  if (env.XDG_CACHE_HOME?.startsWith('/root/') === true) delete env.XDG_CACHE_HOME;
}

/** The words without --stay-root before a `--`, and whether it was there. */
export function takeStayRoot(argv: readonly string[]): { words: string[]; stay: boolean } {
  const end = argv.indexOf('--');
  const at = argv.indexOf(STAY_ROOT);
  const stay = at >= 0 && (end < 0 || at < end);
  return { words: stay ? argv.toSpliced(at, 1) : [...argv], stay };
}
