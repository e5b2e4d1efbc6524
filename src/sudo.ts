/** After sudo, become the user who called it, because nothing here needs root. */
import { lstatSync } from 'node:fs';
import { userInfo } from 'node:os';
import { messageOf, UsageError } from './errors.ts';

declare global {
  namespace NodeJS {
    interface Process {
      initgroups?(user: string | number, extraGroup: string | number): void;
    }
  }
}

/** Undefined when root called it, or sudo was not used. */
export function sudoCaller(
  env: Readonly<NodeJS.ProcessEnv>,
): { readonly uid: number; readonly gid: number; readonly name: string } | undefined {
  const { SUDO_UID = '', SUDO_GID = '', SUDO_USER = '' } = env;
  if (![SUDO_UID, SUDO_GID].every((id) => /^\d+$/.test(id)) || Number(SUDO_UID) === 0) return undefined;
  return { uid: Number(SUDO_UID), gid: Number(SUDO_GID), name: SUDO_USER };
}

/** With groups, home and runtime directory of the caller. @throws UsageError, because the caller did not ask for root */
export function leaveSudo(env: NodeJS.ProcessEnv): void {
  const caller = sudoCaller(env);
  if (process.geteuid?.() !== 0 || caller === undefined) return;
  try {
    if (caller.name === '') process.setgroups?.([caller.gid]);
    else process.initgroups?.(caller.name, caller.gid);
    process.setgid?.(caller.gid);
    process.setuid?.(caller.uid);
    const { username, homedir } = userInfo();
    Object.assign(env, { HOME: homedir, USER: username, LOGNAME: username });
  } catch (cause) {
    throw new UsageError(`cannot become the user ${caller.uid}, who called sudo: ${messageOf(cause)}`, {
      code: 'CANNOT_LEAVE_SUDO',
      remedy: 'use --stay-root',
      cause,
    });
  }
  const runtime = `/run/user/${caller.uid}`;
  if (lstatSync(runtime, { throwIfNoEntry: false })?.uid === caller.uid) env.XDG_RUNTIME_DIR = runtime;
  else delete env.XDG_RUNTIME_DIR;
  if (env.XDG_CACHE_HOME?.startsWith('/root/') === true) delete env.XDG_CACHE_HOME;
}
