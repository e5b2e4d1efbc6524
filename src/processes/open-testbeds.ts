/**
 * The testbeds of this user that are open now, for `ps` and `exec`: one small file each, in a directory that is private to the
 * user. A file whose testbed has ended is void; the next process that reads the directory removes it.
 */
import { mkdirSync, openSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from '../random.ts';
import { isRecord } from './claims.ts';
import { isAlive, isProcessName, type ProcessName, thisProcess } from './identity.ts';
import { runtimeFolder, runtimeFolders } from './runtime-folder.ts';

export interface Registered extends ProcessName {
  /** Its host name. Several testbeds may have the same. */
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** Path of the root filesystem; empty for the machine's own. */
  readonly root: string;
  /** Directory of the scratch on disk; empty for a scratch in memory. */
  readonly scratch: string;
  readonly ownNetwork: boolean;
  /** The process that has it open. */
  readonly owner: number;
  /** Path of what its execute programs report to, see ReportFile in testbed/report-file.ts. */
  readonly report?: string;
}

const FOLDER = 'testbeds';

/**
 * Adds a testbed. Gives the function that removes it.
 * @throws UsageError when the directory cannot be private, and errors of the file system
 */
export function register(testbed: Registered, env: Readonly<NodeJS.ProcessEnv>): () => void {
  const path = join(makeFolder(env), `${testbed.pid}-${testbed.startTime}.json`);
  writeFileSync(path, JSON.stringify(testbed), { mode: 0o600 });
  return () => rmSync(path, { force: true });
}

/**
 * Opens a file without a name for reading and appending, private to the user; it is deleted when its descriptor is closed. If
 * this process is killed before the name is removed, the file is void like that of a testbed that has ended. Root of a user
 * namespace may not own the runtime directory; there the directory for temporary files is used.
 * @throws errors of the file system
 */
export function unnamedFile(env: Readonly<NodeJS.ProcessEnv>): number {
  const { pid, startTime } = thisProcess();
  const name = `${pid}-${startTime}-${randomBytes(4).toString('hex')}`;
  let path: string;
  try {
    path = join(makeFolder(env), name);
  } catch {
    path = join(tmpdir(), `virt-ts-unshare-${name}`);
  }
  const descriptor = openSync(path, 'ax+', 0o600);
  unlinkSync(path);
  return descriptor;
}

function makeFolder(env: Readonly<NodeJS.ProcessEnv>): string {
  const folder = join(runtimeFolder(env), FOLDER);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** Those that are open, oldest first. */
export function registered(env: Readonly<NodeJS.ProcessEnv>): Registered[] {
  return runtimeFolders(env)
    .flatMap((folder) => readFolder(join(folder, FOLDER)))
    .sort((a, b) => a.since - b.since);
}

function readFolder(folder: string): Registered[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const path = join(folder, name);
    const found = readEntry(path);
    if (found !== undefined && isAlive(found)) return [found];
    // A file that is being written has a living process in its name.
    const [pid, startTime = ''] = name.replace(/\.json$/, '').split('-');
    if (!isAlive({ pid: Number(pid), startTime })) rmSync(path, { force: true });
    return [];
  });
}

function readEntry(path: string): Registered | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isRegistered(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRegistered(value: unknown): value is Registered {
  return (
    isRecord(value) &&
    ['name', 'root', 'scratch'].every((key) => typeof value[key] === 'string') &&
    ['since', 'owner'].every((key) => typeof value[key] === 'number') &&
    typeof value.ownNetwork === 'boolean' &&
    ['string', 'undefined'].includes(typeof value.report) &&
    isProcessName(value)
  );
}
