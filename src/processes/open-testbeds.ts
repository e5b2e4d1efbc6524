/** The open testbeds of this user, for `ps` and `exec`: one private file each. The next reader removes void ones. */
import { openSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFolders } from '../folders.ts';
import { randomBytes } from '../random.ts';
import { isRecord } from './claims.ts';
import { keepFresh } from './fresh.ts';
import { isAlive, isProcessName, type ProcessName, thisProcess } from './identity.ts';
import { runtimeFolder, runtimeFolders } from './runtime-folder.ts';

export interface Registered extends ProcessName {
  readonly name: string;
  readonly since: number;
  readonly root: string;
  readonly scratch: string;
  readonly ownNetwork: boolean;
  readonly owner: number;
  readonly report?: string;
  /** The process of run or shell, which closes it on SIGTERM; none where a driver or a library opened it. */
  readonly opener?: ProcessName;
  /** Host pid of a process in whose namespaces the layers are. */
  readonly holder?: number;
  /** The testbed's upper layer and the frozen layers below it, topmost first, without those that all testbeds have. */
  readonly layers?: readonly string[];
  /** `copy`: the upper layer is a whole tree. */
  readonly mode?: 'overlay' | 'copy';
  /** The directory of bases that the holder has as its first source. */
  readonly bases?: string;
  /** Keys of the base and of the layers of an image over it, topmost first; none where the root filesystem is a directory. */
  readonly keys?: readonly string[];
  /** Where something of the host is bound. */
  readonly binds?: readonly string[];
  /** Path of its init, if it has one of its own. */
  readonly init?: string;
  /** The directory of the cgroup for commands. */
  readonly group?: string;
}

const FOLDER = 'testbeds';

/** Gives the function that removes the file. @throws UsageError when the directory cannot be private */
export function register(testbed: Registered, env: Readonly<NodeJS.ProcessEnv>): () => void {
  const path = join(makeFolder(env), `${testbed.pid}-${testbed.startTime}.json`);
  writeFileSync(path, JSON.stringify(testbed), { mode: 0o600 });
  const stop = keepFresh(path);
  return () => {
    stop();
    rmSync(path, { force: true });
  };
}

/** Opens an unnamed private file for reading and appending. Root of a user namespace may not own the runtime directory. */
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
  makeFolders(folder, 0o700);
  return folder;
}

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
    const [pid, startTime = ''] = name.replace(/\.json$/, '').split('-');
    if (!isAlive({ pid: Number(pid), startTime })) rmSync(path, { force: true, recursive: true });
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
    [value.report, value.init, value.group].every((each) => ['string', 'undefined'].includes(typeof each)) &&
    ['number', 'undefined'].includes(typeof value.holder) &&
    [value.layers, value.keys, value.binds].every(isTexts) &&
    ['string', 'undefined'].includes(typeof value.bases) &&
    (value.mode === undefined || value.mode === 'overlay' || value.mode === 'copy') &&
    (value.opener === undefined || isProcessName(value.opener)) &&
    isProcessName(value)
  );
}

function isTexts(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.every((each) => typeof each === 'string'));
}
