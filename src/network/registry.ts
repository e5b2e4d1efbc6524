/**
 * Where the processes of one user find each other's laboratories: a private folder with a folder for each laboratory and in
 * it small files. A file that only one may make is a claim: it holds who made it, and is void once that process is gone.
 */
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { systemCodeOf, UsageError } from '../errors.ts';
import { isAlive, isProcessName, type ProcessName } from '../processes/identity.ts';

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What every file of the registry says: who keeps it true. */
export interface Claim {
  readonly owner: ProcessName;
}

function isClaim(value: unknown): value is Claim {
  return isRecord(value) && isProcessName(value.owner);
}

/**
 * The folder of all laboratories: $XDG_RUNTIME_DIR/virt-ts-unshare, or /tmp/virt-ts-unshare-UID; made if it is not there.
 * @throws UsageError when it is somebody else's or others may enter it
 */
export function registryFolder(env: Readonly<NodeJS.ProcessEnv>): string {
  const uid = process.geteuid?.() ?? 0;
  const runtime = env.XDG_RUNTIME_DIR;
  const path =
    runtime !== undefined && isOurs(runtime, uid)
      ? join(runtime, 'virt-ts-unshare')
      : `/tmp/virt-ts-unshare-${uid}`;
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') throw error;
  }
  if (!isOurs(path, uid)) {
    throw new UsageError(
      `${path} has to be a directory of this user's own with mode 700; remove it, or set XDG_RUNTIME_DIR`,
    );
  }
  return path;
}

export function isOurs(path: string, uid: number): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats?.isDirectory() === true && stats.uid === uid && (stats.mode & 0o077) === 0;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,100}$/;

/** One folder of claims. */
export class Registry {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chmodSync(path, 0o700);
  }

  #file(name: string): string {
    if (!NAME.test(name)) throw new UsageError(`${name} is no name; take letters, digits, dots and hyphens`);
    return join(this.path, `${name}.json`);
  }

  /** Makes the file; false when a living process has it. */
  claim<T extends Claim>(name: string, value: T): boolean {
    const path = this.#file(name);
    for (;;) {
      try {
        const fd = openSync(path, 'wx', 0o600);
        try {
          writeSync(fd, JSON.stringify(value));
        } finally {
          closeSync(fd);
        }
        return true;
      } catch (error) {
        if (systemCodeOf(error) !== 'EEXIST') throw error;
      }
      if (this.read(name) !== undefined) return false;
      this.remove(name);
    }
  }

  /** Says something else in a file that is ours. */
  update<T extends Claim>(name: string, value: T): void {
    const path = this.#file(name);
    const fresh = `${path}.${process.pid}`;
    const fd = openSync(fresh, 'w', 0o600);
    try {
      writeSync(fd, JSON.stringify(value));
    } finally {
      closeSync(fd);
    }
    renameSync(fresh, path);
  }

  /** The file's content if its owner lives. A file that is being written counts as one of the living. */
  read(name: string): Claim | 'unfinished' | undefined {
    let value: unknown;
    try {
      value = JSON.parse(readFileSync(this.#file(name), 'utf8'));
    } catch (error) {
      return error instanceof SyntaxError ? 'unfinished' : undefined;
    }
    return isClaim(value) && isAlive(value.owner) ? value : undefined;
  }

  /** The names of the files whose owners live, in order. */
  names(): string[] {
    return this.#all().filter((name) => this.read(name) !== undefined);
  }

  /** Removes the files whose owners have ended, and says which. */
  sweep(): string[] {
    const stale = this.#all().filter((name) => this.read(name) === undefined);
    for (const name of stale) this.remove(name);
    return stale;
  }

  #all(): string[] {
    return readdirSync(this.path)
      .filter((name) => name.endsWith('.json'))
      .map((name) => name.slice(0, -'.json'.length))
      .sort();
  }

  remove(name: string): void {
    rmSync(this.#file(name), { force: true });
  }
}
