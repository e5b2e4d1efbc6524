/** What is kept of testbeds that `run --detach` opened: a directory each, with a record and the output of the command. */
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolders } from '../folders.ts';
import { isRecord } from './claims.ts';
import { isAlive, isProcessName, type ProcessName, thisProcess } from './identity.ts';
import { lastingFolder, runtimeFolders } from './runtime-folder.ts';

export interface Detached {
  readonly name: string;
  readonly keeper: ProcessName;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** That of the command, when it has ended. */
  readonly status?: number;
}

const FOLDER = 'detached';
export const RECORD = 'record.json';
/** Of testbeds that have ended. */
const MOST_KEPT = 20;

/** The directory of one that this process keeps. What was kept of an earlier one of that name is removed. */
export function beginDetached(name: string, env: Readonly<NodeJS.ProcessEnv>): string {
  const all = join(lastingFolder(env), FOLDER);
  for (const each of findDetached(name, env)) rmSync(each.folder, { recursive: true, force: true });
  prune(env);
  const folder = join(all, name);
  makeFolders(folder, 0o700);
  write(folder, { name, keeper: thisProcess(), since: Date.now() });
  return folder;
}

/** Of the command. Without a status there is nothing to keep. */
export function endDetached(folder: string, status: number | undefined): void {
  const record = read(folder);
  if (record === undefined || status === undefined) rmSync(folder, { recursive: true, force: true });
  else write(folder, { ...record, status });
}

export interface Found extends Detached {
  readonly folder: string;
  readonly alive: boolean;
}

export function findDetached(name: string, env: Readonly<NodeJS.ProcessEnv>): Found[] {
  return allDetached(env).filter((each) => each.name === name);
}

/** The newest last. */
function allDetached(env: Readonly<NodeJS.ProcessEnv>): Found[] {
  return runtimeFolders(env)
    .flatMap((runtime) => {
      const folder = join(runtime, FOLDER);
      return namesIn(folder).map((name) => join(folder, name));
    })
    .flatMap((folder) => {
      const record = read(folder);
      return record === undefined ? [] : [{ ...record, folder, alive: isAlive(record.keeper) }];
    })
    .sort((one, other) => one.since - other.since);
}

function prune(env: Readonly<NodeJS.ProcessEnv>): void {
  const ended = allDetached(env).filter(({ alive }) => !alive);
  for (const { folder } of ended.slice(0, -MOST_KEPT)) rmSync(folder, { recursive: true, force: true });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function write(folder: string, record: Detached): void {
  const fresh = join(folder, `${RECORD}.new`);
  writeFileSync(fresh, JSON.stringify(record), { mode: 0o600 });
  renameSync(fresh, join(folder, RECORD));
}

function read(folder: string): Detached | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, RECORD), 'utf8'));
    return isDetached(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isDetached(value: unknown): value is Detached {
  return (
    isRecord(value) &&
    typeof value.name === 'string' &&
    typeof value.since === 'number' &&
    (value.status === undefined || typeof value.status === 'number') &&
    isProcessName(value.keeper)
  );
}
