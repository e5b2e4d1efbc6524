/** After sudo, become the user who called it, because nothing here needs root. */
import { lstatSync } from 'node:fs';
import { userInfo } from 'node:os';
import { isatty } from 'node:tty';
import { messageOf, systemCodeOf, UsageError } from './errors.ts';
import { createLog } from './log.ts';

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

interface Interrupts {
  handler?: (() => boolean) | undefined;
}

/**
 * Becomes that user, with groups, home and runtime directory. Gives the status of the whole work where Node refuses this (Debian 13's
 * does, CVE-2024-22017): there another process does the work as that user.
 * @throws UsageError, because the caller did not ask for root
 */
export async function leaveSudo(
  env: NodeJS.ProcessEnv,
  ending: AbortSignal,
  interrupts: Interrupts,
): Promise<number | undefined> {
  const caller = sudoCaller(env);
  if (process.geteuid?.() !== 0 || caller === undefined) return undefined;
  try {
    if (caller.name === '') process.setgroups?.([caller.gid]);
    else process.initgroups?.(caller.name, caller.gid);
    process.setgid?.(caller.gid);
    process.setuid?.(caller.uid);
    const { username, homedir } = userInfo();
    setEnvironment(env, caller.uid, username, homedir);
    return undefined;
  } catch (cause) {
    if (systemCodeOf(cause) === 'ERR_INVALID_STATE') return startAs(caller, env, ending, interrupts);
    throw new UsageError(`cannot become the user ${caller.uid} that called sudo: ${messageOf(cause)}`, {
      code: 'CANNOT_LEAVE_SUDO',
      remedy: 'use --stay-root',
      cause,
    });
  }
}

function setEnvironment(env: NodeJS.ProcessEnv, uid: number, name: string, home: string): void {
  Object.assign(env, { HOME: home, USER: name, LOGNAME: name });
  const runtime = `/run/user/${uid}`;
  if (lstatSync(runtime, { throwIfNoEntry: false })?.uid === uid) env.XDG_RUNTIME_DIR = runtime;
  else delete env.XDG_RUNTIME_DIR;
  if (env.XDG_CACHE_HOME?.startsWith('/root/') === true) delete env.XDG_CACHE_HOME;
}

/** Runs this program once more, with the same words and descriptors; it ends with this process. */
async function startAs(
  { uid, gid, name }: NonNullable<ReturnType<typeof sudoCaller>>,
  env: NodeJS.ProcessEnv,
  ending: AbortSignal,
  interrupts: Interrupts,
): Promise<number> {
  const { runHost, spawnHost } = await import('./host.ts');
  const log = createLog();
  const { stdout } = await runHost(['getent', 'passwd', `${uid}`], log);
  const [username = name, , , , , home = '/'] = stdout.trimEnd().split(':');
  setEnvironment(env, uid, username, home);
  const groups = username === '' ? `--groups=${gid}` : '--init-groups';
  const become = ['--pdeathsig=TERM', `--reuid=${uid}`, `--regid=${gid}`, groups, '--'];
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const started = await spawnHost(['setpriv', ...become, ...again], log, { stdio: [0, 1, 2] });
  // The terminal interrupts both processes.
  interrupts.handler = () => {
    if (!isatty(0)) started.kill('SIGINT');
    return true;
  };
  ending.addEventListener('abort', () => started.kill('SIGTERM'));
  const { status } = await started.exited;
  return status;
}
