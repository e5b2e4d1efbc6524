/**
 * Where a tree from a testbed arrives on the host. It is first unpacked in a fresh directory that only the caller can
 * enter (the staging directory), and moved to its place by rename(2) when it is whole: a copy that fails changes nothing,
 * and nothing that anybody else does to the destination meanwhile can lead a write elsewhere. Every directory is held
 * open, and no link below the destination is followed.
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
  renameSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs';
import { CopyError, reasonOf, systemCodeOf } from '../errors.ts';
import { spawnHost, textOf } from '../host.ts';
import type { Log } from '../log.ts';
import { type ByteString, fromBytes, shown } from './bytes.ts';
import {
  below,
  DIRECTORY_ITSELF,
  joined,
  lstatOrNothing,
  openDirectory,
  splitPath,
  withoutSlash,
} from './host-paths.ts';
import { Guard, stagingName } from './staging.ts';

/** The name of the tree in the staging directory. */
export const TREE = 't';
const OWNER_ALL = 0o700;

export class Destination {
  readonly #log: Log;
  /** The directory that is merged into, or the one in which it will be created. */
  readonly #directory: number;
  /** The name it will have there; none if it exists. */
  readonly #name: Buffer | undefined;
  readonly #stagingName = stagingName();
  readonly #guard: Guard;
  /** The staging directory, held open. */
  readonly staging: number;
  #isRemoved = false;

  /**
   * @param path with or without slashes at its end; may be a symbolic link to a directory
   * @throws CopyError when it can neither be created nor written to
   */
  constructor(path: Buffer, log: Log) {
    this.#log = log;
    const { directory, name } = openDestination(path);
    this.#directory = directory;
    this.#name = name;
    this.#guard = new Guard(directory, this.#stagingName, log);
    try {
      const staging = below(directory, this.#stagingName);
      mkdirSync(staging, OWNER_ALL);
      this.staging = openSync(staging, DIRECTORY_ITSELF);
    } catch (error) {
      void this.#guard.end();
      closeSync(directory);
      throw new CopyError(`cannot write to ${shown(path)} on the host: ${reasonOf(error)}`, { cause: error });
    }
    const { uid, mode } = fstatSync(this.staging);
    if (
      uid !== process.geteuid?.() ||
      (mode & 0o777) !== OWNER_ALL ||
      readdirSync(below(this.staging, '.')).length > 0
    ) {
      void this.#guard.end();
      throw new CopyError(`somebody else exchanged a directory in ${shown(path)} on the host meanwhile`);
    }
  }

  /**
   * Moves the tree to its place.
   * @param attributed directories that came with extended attributes (`.` for the top): they cannot be merged
   */
  async accept(attributed: ReadonlySet<ByteString>): Promise<void> {
    const tree = below(this.staging, TREE);
    try {
      if (this.#name !== undefined) {
        move(tree, below(this.#directory, this.#name));
        return;
      }
      const { mode, mtimeNs } = lstatSync(tree, { bigint: true });
      await this.#merge(tree, '.', this.#directory, attributed);
      // Before the time is set: to take the staging directory out changes it.
      await this.#removeStaging();
      await this.#finish(this.#directory, Number(mode) & 0o7777, mtimeNs);
    } catch (error) {
      const told = this.#name === undefined ? '; a part of the copy may be at its destination already' : '';
      throw new CopyError(`${reasonOf(error)}${told}`, { cause: error });
    }
  }

  /** Removes what is left in the staging directory, and that itself. */
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
        `${shown(path)} has extended attributes, and the directory that is there cannot take them`,
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
      // As tar does: what is in the way goes, but never a directory with something in it.
      if (there?.isDirectory() === true) rmdirSync(target);
      else if (there !== undefined && arriving.isDirectory()) unlinkSync(target);
      move(source, target);
    }
  }

  /** Gives a directory that was merged into the mode and time of the one that arrived, if it is the caller's own. */
  async #finish(directory: number, mode: number, mtimeNs: bigint): Promise<void> {
    const user = process.geteuid?.();
    if (user !== 0 && fstatSync(directory).uid !== user) {
      this.#log.debug('a directory of the destination belongs to somebody else: its mode and time stay');
      return;
    }
    fchmodSync(directory, mode);
    // Node's own futimes takes a double, which is exact to some 200 ns only.
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
      throw new CopyError(`setting the time of a directory failed: ${(await complaint).trim()}`);
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
    throw new CopyError(`cannot write to ${shown(path)} on the host: ${reasonOf(error)}`, { cause: error });
  }
}

/** An exact rename, also of a directory that its owner may not write to (the kernel wants to change its `..`). */
function move(source: Buffer, target: Buffer): void {
  const { mode } = lstatSync(source);
  const isLocked =
    (mode & 0o170000) === 0o040000 && (mode & OWNER_ALL) !== OWNER_ALL && process.geteuid?.() !== 0;
  if (!isLocked) {
    renameSync(source, target);
    return;
  }
  chmodSync(source, OWNER_ALL);
  const directory = openSync(source, DIRECTORY_ITSELF);
  try {
    renameSync(source, target);
  } finally {
    fchmodSync(directory, mode & 0o7777);
    closeSync(directory);
  }
}

async function removeTree(path: Buffer): Promise<void> {
  const there = lstatOrNothing(path);
  if (there === undefined) return;
  if (!there.isDirectory()) {
    unlinkSync(path);
    return;
  }
  chmodSync(path, OWNER_ALL);
  for (const name of readdirSync(path, { encoding: 'buffer' })) await removeTree(joined(path, name));
  rmdirSync(path);
}

function decimalSeconds(nanoseconds: bigint): string {
  const sign = nanoseconds < 0n ? '-' : '';
  const digits = (nanoseconds < 0n ? -nanoseconds : nanoseconds).toString().padStart(10, '0');
  return `${sign}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}
