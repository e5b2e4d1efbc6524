import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
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

/** The newest line first. Older ones than the limit are removed from the file. */
export function readHistory(path: string, log: Log): string[] {
  let all: string[] = [];
  try {
    all = readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
    // In its place, because it may be a link to a file elsewhere.
    if (all.length > HISTORY_LINES)
      writeFileSync(
        path,
        all
          .slice(-HISTORY_LINES)
          .map((line) => `${line}\n`)
          .join(''),
      );
  } catch (error) {
    log.debug(`cannot read or shorten the history: ${messageOf(error)}`);
  }
  return all.slice(-HISTORY_LINES).reverse();
}

export function addHistory(path: string, line: string, log: Log): void {
  try {
    makeFolders(dirname(path), 0o700);
    appendFileSync(path, `${line}\n`, { mode: 0o600 });
  } catch (error) {
    log.debug(`cannot keep the history: ${messageOf(error)}`);
  }
}
