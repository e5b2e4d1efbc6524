/** The lines of one output: kept within a limit, read in a loop, and looked at without being taken. */
import split2 from 'split2';

/** Bytes of the longest line; a longer one comes in parts. */
export const LONGEST_LINE = 1024 * 1024;
/** Characters that are kept of lines that were read, or that are not read at all. */
export const KEPT_LINES = 4 * LONGEST_LINE;
/** Characters that a slow loop leaves unread before the command waits for it. */
const AHEAD = LONGEST_LINE;
const NEWLINE = 10;
/** Bytes of UTF-8. */
const LONGEST_CHARACTER = 4;

interface Flow {
  pause(): void;
  resume(): void;
}

export class LineLog implements AsyncIterable<string> {
  readonly #flow: Flow;
  readonly #splitter = split2();
  readonly #listeners = new Set<() => void>();
  /** Those before `#first` are dropped; a gap at the start is closed when it is large. */
  #lines: string[] = [];
  #gap = 0;
  #first = 0;
  #cursor = 0;
  #kept = 0;
  #unread = 0;
  #length = 0;
  #loops = 0;
  #isEnded = false;

  /** @param flow what makes the command wait */
  constructor(flow: Flow) {
    this.#flow = flow;
    this.#splitter.on('data', (line: string) => this.#add(line));
    this.#splitter.once('end', () => {
      this.#isEnded = true;
      this.#notify();
    });
  }

  write(chunk: Buffer): void {
    for (const part of this.#parts(chunk)) this.#splitter.write(part);
  }

  end(): void {
    if (!this.#splitter.writableEnded) this.#splitter.end();
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Number of the next line to come. */
  get next(): number {
    return this.#first + this.#lines.length - this.#gap;
  }

  /** The kept lines from that number on. */
  from(number: number): string[] {
    return this.#lines.slice(this.#gap + Math.max(0, number - this.#first));
  }

  /** Calls it after each line and at the end. Gives the function that stops this. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * A loop goes on where the last one ended. While one runs, the command waits for it when it is slow; otherwise the oldest
   * lines are dropped.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    this.#loops += 1;
    try {
      for (;;) {
        this.#cursor = Math.max(this.#cursor, this.#first);
        const line = this.#lines[this.#gap + this.#cursor - this.#first];
        if (line !== undefined) {
          this.#cursor += 1;
          this.#unread -= line.length + 1;
          if (this.#unread < AHEAD) this.#flow.resume();
          yield line;
        } else if (this.#isEnded) return;
        else await this.#news();
      }
    } finally {
      this.#loops -= 1;
      if (this.#loops === 0) this.#flow.resume();
    }
  }

  /** Parts a line that is too long, between two characters of UTF-8. */
  *#parts(chunk: Buffer): Generator<Buffer> {
    let rest = chunk;
    while (this.#length + rest.length > LONGEST_LINE) {
      const room = Math.max(0, LONGEST_LINE - this.#length);
      const newline = rest.indexOf(NEWLINE) + 1;
      const isWhole = newline > 0 && newline <= room;
      const size = isWhole
        ? newline
        : endOfCharacter(rest, room, LONGEST_CHARACTER + LONGEST_LINE - this.#length);
      // The end of the character is in the next chunk.
      if (size === rest.length) break;
      yield rest.subarray(0, size);
      if (!isWhole) yield Buffer.from([NEWLINE]);
      this.#length = 0;
      rest = rest.subarray(size);
    }
    yield rest;
    const last = rest.lastIndexOf(NEWLINE);
    this.#length = last < 0 ? this.#length + rest.length : rest.length - last - 1;
  }

  #add(line: string): void {
    this.#lines.push(line);
    this.#kept += line.length + 1;
    this.#unread += line.length + 1;
    while (this.#kept > KEPT_LINES && (this.#loops === 0 || this.#first < this.#cursor)) this.#drop();
    if (this.#loops > 0 && this.#unread >= AHEAD) this.#flow.pause();
    this.#notify();
  }

  #drop(): void {
    const size = (this.#lines[this.#gap]?.length ?? 0) + 1;
    if (this.#cursor <= this.#first) this.#unread -= size;
    this.#kept -= size;
    this.#first += 1;
    this.#gap += 1;
    if (this.#gap < 1024 || this.#gap * 2 < this.#lines.length) return;
    this.#lines = this.#lines.slice(this.#gap);
    this.#gap = 0;
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  #news(): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.listen(() => {
        stop();
        resolve();
      });
    });
  }
}

/** The first place from `index` on where a character begins, but not after `limit`. */
function endOfCharacter(bytes: Buffer, index: number, limit: number): number {
  let end = index;
  while (end < bytes.length && end < limit && ((bytes[end] ?? 0) & 0xc0) === 0x80) end += 1;
  return end;
}
