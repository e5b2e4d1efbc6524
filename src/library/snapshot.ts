import { UsageError } from '../errors.ts';
import type { OnEvent } from '../events/types.ts';
import type { Snapshot as InnerSnapshot } from '../testbed/snapshot.ts';
import { notAllowed } from './checks.ts';
import type { OpenOptions } from './open-options.ts';
import { leave, type Shared } from './providers.ts';

/** A testbed from a snapshot has the options of the one that the snapshot was taken of, so there are no others. */
export type FromSnapshot = {
  /** What `testbed.snapshot()` resolved with. */
  readonly from: Snapshot;
} & Pick<OpenOptions, 'signal'> & {
    readonly [name in Exclude<keyof OpenOptions, 'signal'>]?: never;
  };

interface Parts {
  readonly shared: Shared;
  readonly inner: InnerSnapshot;
  /** Gets the events of the testbeds that are opened from it. */
  readonly onEvent: OnEvent | undefined;
}

let make: (parts: Parts) => Snapshot;
let partsOf: (snapshot: Snapshot) => Parts;

/**
 * The files of a testbed at the moment of `testbed.snapshot()`. Any number of testbeds can be opened from it, also at once; none
 * of them changes it.
 */
export class Snapshot {
  readonly #parts: Parts;
  #isDisposed = false;

  static {
    make = (parts) => new Snapshot(parts);
    partsOf = (snapshot) => snapshot.#parts;
  }

  private constructor(parts: Parts) {
    this.#parts = parts;
    parts.shared.users += 1;
  }

  /**
   * Frees its files as soon as no testbed needs them: those that were opened from it, and the one that it was taken of, go on
   * and can revert. May be called again. `closeAll` and the end of this process do the same at once.
   * @throws {@link TestbedError} that names what cannot be removed
   */
  async dispose(): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    const { shared, inner } = this.#parts;
    try {
      await inner.dispose();
    } finally {
      await leave(shared);
    }
  }

  /** `await using ready = await testbed.snapshot()` disposes it at the end of the block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

export function makeSnapshot(parts: Parts): Snapshot {
  return make(parts);
}

/** Undefined for other options. @throws {@link UsageError} */
export function snapshotOf(options: OpenOptions | FromSnapshot): Parts | undefined {
  // JavaScript may give anything; the check of the other options reports it.
  if (Object(options) !== options || !('from' in options)) return undefined;
  const { from, signal, ...others } = options;
  if (!(from instanceof Snapshot))
    throw notAllowed('from', from, 'give what testbed.snapshot() resolved with');
  const [other] = Object.entries(others).find(([, value]) => value !== undefined) ?? [];
  if (other !== undefined) {
    throw new UsageError(`from and ${other} exclude each other`, {
      code: 'UNKNOWN_OPTION',
      remedy: `leave out ${other}: a testbed from a snapshot has the options of the one that it was taken of`,
    });
  }
  return partsOf(from);
}
