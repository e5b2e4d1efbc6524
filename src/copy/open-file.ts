import { closeSync, constants, fstatSync, openSync, readFileSync, statfsSync } from 'node:fs';

const { O_RDONLY, O_RDWR, O_WRONLY } = constants;

const TMPFS = 0x01021994;
const EXT4 = 0xef53;
const XFS = 0x58465342;
const BTRFS = 0x9123683e;

/** Where two threads copy faster than one. Elsewhere a disk seeks, or the file is written in order (FUSE). */
const READ_AT_ONCE = [TMPFS];
const WRITTEN_AT_ONCE = [TMPFS, EXT4, XFS, BTRFS];

export class OpenFile {
  readonly file: number;
  /** The same file with its own position, if its halves may be copied at the same time. */
  readonly again: number | undefined;
  #half: number | undefined;
  #copied = 0;

  constructor(file: number, use: 'read' | 'written') {
    this.file = file;
    this.again = openAgain(file, use);
  }

  halved(at: number): void {
    this.#half = at;
  }

  /** What was known last, when /proc cannot be read, as without a free descriptor. */
  get copied(): number {
    this.#copied = attempt(() => positionOf(this.file) + this.#copiedOfSecondHalf) ?? this.#copied;
    return this.#copied;
  }

  get #copiedOfSecondHalf(): number {
    if (this.#half === undefined || this.again === undefined) return 0;
    return Math.max(0, positionOf(this.again) - this.#half);
  }

  close(): void {
    closeSync(this.file);
    if (this.again !== undefined) closeSync(this.again);
  }
}

function openAgain(file: number, use: 'read' | 'written'): number | undefined {
  const path = `/proc/self/fd/${file}`;
  // A mapping of a file that is written has to be readable.
  const [types, ways] = use === 'read' ? [READ_AT_ONCE, [O_RDONLY]] : [WRITTEN_AT_ONCE, [O_RDWR, O_WRONLY]];
  if (!attempt(() => fstatSync(file).isFile() && types.includes(statfsSync(path).type))) return undefined;
  for (const way of ways) {
    const again = attempt(() => openSync(path, way));
    if (again !== undefined) return again;
  }
  return undefined;
}

function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}

function positionOf(file: number): number {
  return Number(/^pos:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${file}`, 'latin1'))?.[1] ?? 0);
}
