/** Copies of one testbed, each with its event, and all of them ended at its close. */
import type { Readable } from 'node:stream';
import type { ArchiveSource } from '../copy/archive-source.ts';
import type { CopyOptions, CopyTestbed } from '../copy/types.ts';
import { TestbedError } from '../errors.ts';
import type { OperationFacts, Recorder } from '../events/recorder.ts';
import type { TestbedMaker } from './maker.ts';

type Copying = typeof import('../copy/copy.ts');
type Report = NonNullable<CopyOptions['progress']>;

interface CopyPaths {
  readonly direction: 'in' | 'out';
  readonly outside?: Buffer;
  readonly inside: Buffer;
}

export class Copies {
  readonly #testbed: CopyTestbed;
  readonly #maker: TestbedMaker;
  readonly #recorder: Recorder | undefined;
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(testbed: CopyTestbed, maker: TestbedMaker, recorder: Recorder | undefined) {
    this.#testbed = testbed;
    this.#maker = maker;
    this.#recorder = recorder;
  }

  in(outside: Buffer, inside: Buffer): Promise<void> {
    return this.#copy(
      `copying ${outside} into the testbed`,
      { direction: 'in', outside, inside },
      (copying, options) => copying.copyIn(this.#testbed, outside, inside, options),
    );
  }

  out(inside: Buffer, outside: Buffer): Promise<void> {
    return this.#copy(
      `copying ${inside} out of the testbed`,
      { direction: 'out', outside, inside },
      (copying, options) => copying.copyOut(this.#testbed, inside, outside, options),
    );
  }

  async putArchive(archive: ArchiveSource, inside: Buffer): Promise<void> {
    const [{ putArchive }, { stopSource }] = await Promise.all([
      import('../copy/put-archive.ts'),
      import('../copy/archive-source.ts'),
    ]);
    try {
      const { idMap } = await this.#maker.holder();
      await this.#run({ direction: 'in', inside }, (options) =>
        putArchive(this.#testbed, archive, inside, { ...options, owners: !idMap.single }),
      );
    } catch (error) {
      // Also when the copy did not begin.
      stopSource(archive);
      throw error;
    }
  }

  async getArchive(inside: Buffer): Promise<Readable> {
    const { beginArchive } = await import('../copy/get-archive.ts');
    return new Promise((resolve, reject) => {
      const copy = async (options: CopyOptions) => {
        const { stream, sent } = await beginArchive(this.#testbed, inside, options);
        resolve(stream);
        await sent;
      };
      // After its begin, the reader of the stream gets the error.
      this.#run({ direction: 'out', inside }, copy).catch(reject);
    });
  }

  /** Resolves when none is under way: a program of the host that takes part in one does not end with the testbed's processes. */
  async end(): Promise<void> {
    this.#isClosed = true;
    // The first abort of a process takes a millisecond.
    if (this.#running.size === 0) return;
    this.#closing.abort(closed());
    await Promise.allSettled(this.#running);
  }

  async #copy(
    what: string,
    paths: CopyPaths,
    copy: (copying: Copying, options: CopyOptions) => Promise<void>,
  ): Promise<void> {
    // An open waits for everything that is loaded before it.
    const [copying, { withCopyLine }] = await Promise.all([
      import('../copy/copy.ts'),
      import('../copy/shown-copy.ts'),
    ]);
    await this.#run(paths, (options) => withCopyLine(what, options, (shown) => copy(copying, shown)));
  }

  async #run(paths: CopyPaths, copy: (options: CopyOptions) => Promise<void>): Promise<void> {
    if (this.#isClosed) throw closed();
    const { facts, report } = copyFacts(paths);
    const signal = AbortSignal.any([this.#closing.signal, this.#maker.ending]);
    const work = () => copy({ ...this.#options(report), signal });
    const running = this.#recorder === undefined ? work() : this.#recorder.operation(facts, work);
    this.#running.add(running);
    try {
      await running;
    } finally {
      this.#running.delete(running);
    }
  }

  #options(report: Report): CopyOptions {
    const { options, log } = this.#maker;
    return {
      log,
      ...(this.#recorder === undefined ? {} : { progress: report }),
      timeout: options.copyTimeout,
      ...(options.maxCopyBytes === undefined ? {} : { maxBytes: options.maxCopyBytes }),
      ...(options.maxCopyEntries === undefined ? {} : { maxEntries: options.maxCopyEntries }),
    };
  }
}

const closed = () => new TestbedError('the testbed was closed', { code: 'CLOSED' });

function copyFacts({ direction, outside, inside }: CopyPaths): {
  facts: () => OperationFacts;
  report: Report;
} {
  const copied = { bytes: 0, files: 0 };
  const paths = { inside: String(inside), ...(outside === undefined ? {} : { outside: String(outside) }) };
  return {
    facts: () => ({ event: 'copy', direction, ...paths, ...copied }),
    report: (bytes, files) => {
      Object.assign(copied, { bytes, files });
    },
  };
}
