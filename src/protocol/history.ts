import { appendFileSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { messageOf } from '../errors.ts';
import { makeFolders } from '../folders.ts';
import type { Log } from '../log.ts';

export const HISTORY_LINES = 1000;

export function historyPath(env: Readonly<NodeJS.ProcessEnv>): string {
  const state = env.XDG_STATE_HOME ?? '';
  return join(isAbsolute(state) ? state : join(homedir(), '.local/state'), 'virt-ts-unshare/history');
}

export function readHistory(path: string): string[] {
  try {
    const lines = readFileSync(path, 'utf8').split('\n');
    return lines
      .filter((line) => line !== '')
      .slice(-HISTORY_LINES)
      .reverse();
  } catch {
    return [];
  }
}

export function addHistory(path: string, line: string, log: Log): void {
  try {
    makeFolders(dirname(path), 0o700);
    appendFileSync(path, `${line}\n`, { mode: 0o600 });
  } catch (error) {
    log.debug(`cannot keep the history: ${messageOf(error)}`);
  }
}
