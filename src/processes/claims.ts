/** Claims: private files, one for each name that only one living process may own. The file of an ended process is void. */
import {
  chmodSync,
  closeSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { systemCodeOf, UsageError } from '../errors.ts';
import { makeFolders } from '../folders.ts';
import { lockSync } from '../host.ts';
import { randomBytes } from '../random.ts';
import { isAlive, isProcessName, type ProcessName, thisProcess } from './identity.ts';

export interface Claim {
  readonly owner: ProcessName;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isClaim(value: unknown): value is Claim {
  return isRecord(value) && isProcessName(value.owner);
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,100}$/;
const ENDING = '.json';
const UNFINISHED = /^\..*\.(\d+)\.(\d+)\.new$/;

export class Claims {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    makeFolders(path, 0o700);
    chmodSync(path, 0o700);
  }

  claim<T extends Claim>(name: string, value: T): boolean {
    const path = this.#file(name);
    const fresh = this.#write(name, value);
    try {
      // link(2) gives a file its name only when no file has it, and then with its whole content.
      if (link(fresh, path)) return true;
      if (this.read(name) !== undefined) return false;
      return this.#locked(() => {
        if (link(fresh, path)) return true;
        if (this.read(name) !== undefined) return false;
        renameSync(fresh, path);
        return true;
      });
    } finally {
      rmSync(fresh, { force: true });
    }
  }

  update<T extends Claim>(name: string, value: T): void {
    renameSync(this.#write(name, value), this.#file(name));
  }

  read(name: string): Claim | undefined {
    try {
      const value: unknown = JSON.parse(readFileSync(this.#file(name), 'utf8'));
      return isClaim(value) && isAlive(value.owner) ? value : undefined;
    } catch (error) {
      if (error instanceof UsageError) throw error;
      return undefined;
    }
  }

  names(): string[] {
    return this.#all().filter((name) => this.read(name) !== undefined);
  }

  /** @param remove removes what belongs to a void claim, while no process can claim its name */
  sweep(remove: (name: string) => void = () => {}): void {
    const isStale = (name: string) => this.read(name) === undefined;
    if (this.#all().some(isStale)) {
      this.#locked(() => {
        for (const name of this.#all().filter(isStale)) {
          remove(name);
          this.remove(name);
        }
      });
    }
    for (const entry of readdirSync(this.path)) {
      const [, pid, startTime] = UNFINISHED.exec(entry) ?? [];
      if (startTime !== undefined && !isAlive({ pid: Number(pid), startTime })) {
        rmSync(join(this.path, entry), { force: true });
      }
    }
  }

  pathOf(name: string): string {
    return this.#file(name);
  }

  remove(name: string): void {
    rmSync(this.#file(name), { force: true, recursive: true });
  }

  #file(name: string): string {
    if (!NAME.test(name)) {
      throw new UsageError(`'${name.length > 101 ? `${name.slice(0, 50)}…` : name}' cannot be a name`, {
        code: 'WRONG_NAME',
        remedy: 'use letters, digits, dots and hyphens, at most 101, and begin with a letter or digit',
      });
    }
    return join(this.path, name + ENDING);
  }

  #write(name: string, value: Claim): string {
    const { pid, startTime } = thisProcess();
    const path = join(
      this.path,
      `.${name}${ENDING}-${randomBytes(4).toString('hex')}.${pid}.${startTime}.new`,
    );
    writeFileSync(path, JSON.stringify(value), { mode: 0o600 });
    return path;
  }

  /** Void files are replaced or removed only with this lock, so that two processes cannot both replace one. */
  #locked<T>(work: () => T): T {
    const lock = openSync(join(this.path, '.lock'), 'a', 0o600);
    try {
      lockSync(lock);
      return work();
    } finally {
      closeSync(lock);
    }
  }

  #all(): string[] {
    return readdirSync(this.path)
      .filter((name) => name.endsWith(ENDING) && !name.startsWith('.'))
      .map((name) => name.slice(0, -ENDING.length))
      .filter((name) => NAME.test(name))
      .sort();
  }
}

function link(path: string, name: string): boolean {
  try {
    linkSync(path, name);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') return false;
    throw error;
  }
}
