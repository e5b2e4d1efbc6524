/**
 * The caches of apt of the root filesystem of one server: see rootfs/apt-caches.ts. A testbed whose apt had to compute them
 * shows that they are missing; then they are computed once more in a testbed of its own, in which nothing else ran, so
 * that no test has an effect on later testbeds.
 */
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Holder } from '../namespaces/holder.ts';
import type { Instance } from '../namespaces/instance.ts';
import { findAptCaches, type KnownCaches, writtenCaches } from '../rootfs/apt-caches.ts';
import type { CacheFolder } from '../rootfs/cache.ts';
import type { Base } from '../rootfs/known-base.ts';
import { aborted, within } from '../wait.ts';
import { endOfCommand, startCommand, type Target } from './execute.ts';
import type { Layer } from './layer.ts';

/** Seconds. Some 4 on the machine's own processor, more with an emulator. */
const LIMIT = 180;

/** Milliseconds. A driver that has closed its testbed mostly ends the server at once. */
const DELAY = 100;

/** At the lowest priority: tests run meanwhile. */
const COMPUTE = ['nice', '-n', '19', 'apt-cache', 'gencaches'] as const;

interface Place {
  readonly holder: Holder;
  readonly cache: CacheFolder;
  readonly base: Pick<Base, 'keys'>;
}

/** A testbed that `ps` does not show. */
export interface Aside {
  readonly instance: Instance;
  readonly layer: Layer;
  readonly target: Target;
}

export class AptCaches {
  readonly #log: Log;
  readonly #signal: AbortSignal;
  #known: KnownCaches | undefined;
  #looked = false;
  #making: Promise<void> | undefined;

  constructor(log: Log, signal: AbortSignal) {
    this.#log = log;
    this.#signal = signal;
  }

  /** A layer for a new testbed, as the holder sees it. */
  layer(place: Place): string | undefined {
    if (!this.#looked) this.#look(place);
    const known = this.#known;
    return known === undefined || known.files === 0 ? undefined : place.holder.inside(known.path);
  }

  /** Whether new testbeds may get other layers soon. */
  get isMaking(): boolean {
    return this.#making !== undefined;
  }

  /** Looks into a layer that is not needed any more. What is missing is made in the background. */
  notice(layer: Layer, place: Place, open: () => Promise<Aside | undefined>): void {
    const { holder } = place;
    if (this.#known !== undefined || this.#making !== undefined || this.#signal.aborted) return;
    if (writtenCaches(seenBy(holder, layer)).paths.length === 0) return;
    this.#making = this.#make(place, open)
      .catch((error: unknown) => this.#log.debug(`the caches of apt are not kept: ${messageOf(error)}`))
      .then(() => {
        this.#look(place);
        // One attempt for each server.
        this.#known ??= { path: '', files: 0, release: async () => {} };
        this.#making = undefined;
      });
  }

  /** Resolves when nothing is made any more; the signal ends it soon. */
  async settled(): Promise<void> {
    await this.#making;
  }

  async release(): Promise<void> {
    await this.#known?.release();
    this.#known = undefined;
  }

  #look({ base, holder, cache }: Place): void {
    this.#looked = true;
    const [top] = base.keys;
    if (top !== undefined) this.#known ??= findAptCaches(top, holder.idMap.key, cache);
  }

  async #make({ base, holder, cache }: Place, open: () => Promise<Aside | undefined>): Promise<void> {
    const [top] = base.keys;
    if (top === undefined) return;
    await within(aborted(this.#signal), DELAY);
    this.#signal.throwIfAborted();
    const { keepAptCaches } = await import('../rootfs/keep-apt-caches.ts');
    let used: Layer | undefined;
    try {
      await keepAptCaches(top, { holder, cache, log: this.#log }, async () => {
        const aside = await open();
        if (aside === undefined) return undefined;
        used = aside.layer;
        await this.#compute(aside);
        return { tree: used.upper, seen: seenBy(holder, used) };
      });
    } finally {
      await used?.release();
    }
  }

  async #compute({ instance, target }: Aside): Promise<void> {
    try {
      const started = await startCommand(target, COMPUTE, ['ignore', 'ignore', 'ignore'], this.#log);
      // Whatever its status: what it has written counts.
      await endOfCommand(started, COMPUTE, { timeout: LIMIT, signal: this.#signal });
    } finally {
      await instance.stop();
    }
  }
}

function seenBy(holder: Holder, { upper }: Layer): string {
  return `/proc/${holder.pid}/root${upper}`;
}
