/**
 * An upper layer: what was written in a testbed. It is mounted in the holder, so it can outlive the processes of the testbed:
 * an incarnation over it can end and another one begin. A frozen layer is no upper layer any more, and others lie over it.
 */
import { TestbedError } from '../errors.ts';
import type { Holder } from '../namespaces/holder.ts';
import type { Step } from '../namespaces/steps.ts';
import { watchMount } from '../namespaces/traces.ts';
import { within } from '../wait.ts';
import { layerSteps } from './mounts.ts';

/** Milliseconds. */
const DROP_LIMIT = 10_000;

let made = 0;

export interface Upper {
  /** Options of a tmpfs, or a directory in the holder. */
  readonly where: string;
  readonly onDisk: boolean;
  readonly largePages: boolean;
  /** Call it after the mounts are gone. */
  remove(): Promise<void>;
}

export class Layer {
  /** In the holder. It has `upper`, and a directory for overlayfs while an incarnation is over it. */
  readonly path: string;
  /** The frozen layer below. */
  readonly over: Layer | undefined;
  readonly onDisk: boolean;
  readonly largePages: boolean;
  readonly #holder: Holder;
  readonly #upper: Upper;
  #isUsed = false;
  #incarnations = 0;
  #users = 1;
  #gone: Promise<void> | undefined;
  #watch: ReturnType<typeof watchMount> | undefined;

  constructor(holder: Holder, upper: Upper, over: Layer | undefined) {
    made += 1;
    this.path = `/mnt/layers/${made}`;
    this.over = over;
    this.onDisk = upper.onDisk;
    this.largePages = upper.largePages;
    this.#holder = holder;
    this.#upper = upper;
    over?.keep();
  }

  get upper(): string {
    return `${this.path}/upper`;
  }

  /** This layer's files and those of the frozen layers below, topmost first. */
  get stack(): readonly string[] {
    return [this.upper, ...(this.over?.stack ?? [])];
  }

  /** Whether an incarnation was over it. */
  get isUsed(): boolean {
    return this.#isUsed;
  }

  /** Steps for the holder's mount namespace, when the first incarnation begins. */
  get steps(): readonly Step[] {
    return this.#isUsed ? [] : layerSteps(this.path, this.#upper.where);
  }

  /** A directory for overlayfs, a new one for each incarnation: what `volatile` leaves in one forbids its use again. */
  nextWork(): string {
    this.#incarnations += 1;
    return `${this.path}/work${this.#incarnations === 1 ? '' : `-${this.#incarnations}`}`;
  }

  /**
   * An incarnation over it has begun.
   * @param isRoot it is itself the root filesystem of that; else the end of the overlay shows that no process uses it
   */
  begun({ isRoot }: { readonly isRoot: boolean }): void {
    if (this.#isUsed) return;
    this.#isUsed = true;
    if (isRoot && !this.onDisk) this.#watch = watchMount(`/proc/${this.#holder.pid}/root${this.path}/.`);
  }

  /** For one more user: a snapshot, or a layer over it. Each calls `release`. */
  keep(): void {
    this.#users += 1;
  }

  /**
   * The last release drops it, and resolves when nothing of it is left.
   * @param ended rejects when an incarnation over it does not end
   * @throws TestbedError
   */
  release(ended: Promise<void> = Promise.resolve()): Promise<void> {
    this.#users -= 1;
    return this.#users > 0 ? Promise.resolve() : this.drop(ended);
  }

  /** Drops it, whatever uses it. */
  drop(ended: Promise<void> = Promise.resolve()): Promise<void> {
    this.#gone ??= this.#drop(ended);
    return this.#gone;
  }

  get dropped(): boolean {
    return this.#gone !== undefined;
  }

  async #drop(ended: Promise<void>): Promise<void> {
    // At once: an overlay has mounts of its own of its layers, so the end of the last one frees the files.
    const run = this.#holder.alive ? this.#holder.drop(this.path) : undefined;
    const isGone = await ended.then(
      () => true,
      () => false,
    );
    const steps = [
      async () => {
        if (run !== undefined && (await run.ended) !== 0 && this.#holder.alive) throw this.#left();
        // Without a proof that the incarnation has ended there is another error, which names the process.
        if (isGone && !(await within(this.#watch?.unmounted ?? Promise.resolve(), DROP_LIMIT)))
          throw this.#left();
      },
      async () => this.#watch?.watcher?.close(),
      // Also when a process still has a file of it open: then at least the disk is free again.
      () => this.#upper.remove(),
      async () => this.over?.release(),
    ];
    const failures: unknown[] = [];
    for (const step of steps) await step().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }

  #left(): TestbedError {
    return new TestbedError(`the layer ${this.path} of a testbed is still in use`, {
      code: 'LEFT_OVER',
      remedy: `end the processes that have files open in it, or in /proc/${this.#holder.pid}/root${this.path}`,
    });
  }
}
