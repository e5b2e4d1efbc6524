/**
 * Where a tree from a testbed arrives on the host: in a new private directory (the staging directory), and by rename(2) at
 * its place when it is complete. So a copy that fails changes nothing. Every directory is held open and no link below the
 * destination is followed, so another process cannot redirect a write.
 */
import {
  chmodSync,
  closeSync,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs';
import { type ByteString, fromBytes, shown } from '../archive/bytes.ts';
import { CopyError, reasonOf, systemCodeOf } from '../errors.ts';
import { spawnHost, textOf } from '../host.ts';
import type { Log } from '../log.ts';
import { cannotWrite, factsOf, sentenceOf } from './failures.ts';
import {
  below,
  DIRECTORY_ITSELF,
  joined,
  lstatOrNothing,
  openDirectory,
  splitPath,
  withoutSlash,
} from './host-paths.ts';
import { move, OWNER_ALL, removeTree } from './host-trees.ts';
import { Guard, stagingName } from './staging.ts';

export const TREE = 't';

export class Destination {
  readonly #log: Log;
  readonly #directory: number;
  /** The name of a new directory; undefined when the directory exists and is merged into. */
  readonly #name: Buffer | undefined;
  readonly #stagingName = stagingName();
  readonly #guard: Guard;
  readonly staging: number;
  #isRemoved = false;

  constructor(path: Buffer, log: Log) {
    this.#log = log;
    const { directory, name } = openDestination(path);
    this.#directory = directory;
    this.#name = name;
    this.#guard = new Guard(directory, this.#stagingName, log);
    try {
      this.staging = makeStaging(below(directory, this.#stagingName));
    } catch (error) {
      void this.#guard.end();
      closeSync(directory);
      throw cannotWrite(path, error);
    }
  }

  /** @param attributed directories with extended attributes (`.` for the top), which cannot be merged */
  async accept(attributed: ReadonlySet<ByteString>): Promise<void> {
    const tree = below(this.staging, TREE);
    try {
      if (this.#name !== undefined) {
        move(tree, below(this.#directory, this.#name));
        return;
      }
      const { mode, mtimeNs } = lstatSync(tree, { bigint: true });
      await this.#merge(tree, '.', this.#directory, attributed);
      await this.#removeStaging();
      await this.#finish(this.#directory, Number(mode) & 0o7777, mtimeNs);
    } catch (error) {
      const left = this.#name === undefined ? '; a part of the copy may be at its destination already' : '';
      throw new CopyError(`${sentenceOf(error)}${left}`, {
        code: 'CANNOT_WRITE',
        ...factsOf(error),
        cause: error,
      });
    }
  }

  async close(): Promise<void> {
    try {
      await this.#removeStaging();
    } catch (error) {
      this.#log.warn(`${this.#stagingName} stays behind at the destination of a copy: ${reasonOf(error)}`);
    } finally {
      closeSync(this.staging);
      closeSync(this.#directory);
      await this.#guard.end();
    }
  }

  async #removeStaging(): Promise<void> {
    if (this.#isRemoved) return;
    await removeTree(below(this.staging, TREE));
    rmdirSync(below(this.#directory, this.#stagingName));
    this.#isRemoved = true;
  }

  async #merge(
    from: Buffer,
    path: ByteString,
    into: number,
    attributed: ReadonlySet<ByteString>,
  ): Promise<void> {
    if (attributed.has(path)) {
      throw new CopyError(
        `${shown(path)} has extended attributes, which cannot be given to a directory that exists`,
        { code: 'CANNOT_MERGE', remedy: 'copy to a path that does not exist' },
      );
    }
    chmodSync(from, OWNER_ALL);
    for (const name of readdirSync(from, { encoding: 'buffer' })) {
      const source = joined(from, name);
      const target = below(into, name);
      const arriving = lstatSync(source);
      const there = lstatOrNothing(target);
      if (arriving.isDirectory() && there?.isDirectory() === true) {
        const directory = openSync(target, DIRECTORY_ITSELF);
        try {
          const { mode, mtimeNs } = lstatSync(source, { bigint: true });
          const deeper = path === '.' ? fromBytes(name) : `${path}/${fromBytes(name)}`;
          await this.#merge(source, deeper, directory, attributed);
          await this.#finish(directory, Number(mode) & 0o7777, mtimeNs);
        } finally {
          closeSync(directory);
        }
        continue;
      }
      if (there?.isDirectory() === true) rmdirSync(target);
      else if (there !== undefined && arriving.isDirectory()) unlinkSync(target);
      move(source, target);
    }
  }

  /** Sets mode and time of a directory that was merged into, if it belongs to the caller. */
  async #finish(directory: number, mode: number, mtimeNs: bigint): Promise<void> {
    const user = process.geteuid?.();
    if (user !== 0 && fstatSync(directory).uid !== user) {
      this.#log.debug('a directory of the destination belongs to another user: its mode and time stay');
      return;
    }
    fchmodSync(directory, mode);
    // Node's futimes takes a double, which is exact to about 200 ns only.
    const touch = await spawnHost(
      ['touch', '-c', '-m', '-d', `@${decimalSeconds(mtimeNs)}`, '-'],
      this.#log,
      {
        stdio: ['ignore', directory, 'pipe'],
      },
    );
    const complaint = textOf(touch.child.stderr);
    const { status } = await touch.exited;
    if (status !== 0)
      throw new CopyError(`setting the time of a directory failed: ${(await complaint).trim()}`, {
        code: 'CANNOT_WRITE',
      });
  }
}

function openDestination(path: Buffer): { directory: number; name: Buffer | undefined } {
  const bare = withoutSlash(path);
  try {
    try {
      return { directory: openDirectory(bare.length === 0 ? Buffer.from('/') : bare), name: undefined };
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT' || lstatOrNothing(bare) !== undefined) throw error;
    }
    const { parent, name } = splitPath(bare);
    return { directory: openDirectory(parent), name };
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

/** @throws CopyError when another process has exchanged the new directory */
function makeStaging(path: Buffer): number {
  mkdirSync(path, OWNER_ALL);
  let staging: number | undefined;
  try {
    staging = openSync(path, DIRECTORY_ITSELF);
    const { uid, mode } = fstatSync(staging);
    const isNew =
      uid === process.geteuid?.() &&
      (mode & 0o777) === OWNER_ALL &&
      readdirSync(below(staging, '.')).length === 0;
    if (isNew) return staging;
    throw new CopyError('another process has replaced the temporary directory of the copy', {
      code: 'EXCHANGED',
    });
  } catch (error) {
    if (staging !== undefined) closeSync(staging);
    try {
      rmdirSync(path);
    } catch {}
    throw error;
  }
}

function decimalSeconds(nanoseconds: bigint): string {
  const sign = nanoseconds < 0n ? '-' : '';
  const digits = (nanoseconds < 0n ? -nanoseconds : nanoseconds).toString().padStart(10, '0');
  return `${sign}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}
