import { TestbedError } from '../errors.ts';

/** The copies of a testbed that are under way. A program of the host that takes part in one is not ended with the testbed's processes. */
export class Copies {
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  readonly #signal: AbortSignal;

  /** @param ending ends them too */
  constructor(ending: AbortSignal) {
    this.#signal = AbortSignal.any([this.#closing.signal, ending]);
  }

  async run<T>(copy: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const running = copy(this.#signal);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  /** Resolves when none is under way. */
  async end(): Promise<void> {
    this.#closing.abort(new TestbedError('the testbed was closed', { code: 'CLOSED' }));
    await Promise.allSettled(this.#running);
  }
}
