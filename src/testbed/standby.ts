/**
 * The next incarnation of a testbed, made ahead: its layer, its namespaces and its mounts are there, and its process waits. No
 * program of the root filesystem has run, so it is no testbed yet: ps and the leak report do not show it.
 */
import type { Instance, StandingInstance } from '../namespaces/instance.ts';
import type { Layer } from './layer.ts';
import type { ReportFile } from './report-file.ts';

/** Where an incarnation has its layer. */
export interface Place {
  /** Of the testbed, as ps shows it. */
  readonly name: string;
  /** After a reboot: what the words for a command name. */
  readonly before?: { readonly mark: string; readonly report: ReportFile | undefined } | undefined;
  /** A layer that had an incarnation before, which has ended: its files are there again. */
  readonly layer?: Layer | undefined;
  /** A frozen layer below a new one. Default: none. */
  readonly over?: Layer | undefined;
  /** What was made ahead for this place, if anything. */
  readonly standby?: Standby | undefined;
  /** Its abort ends what is being made. */
  readonly signal?: AbortSignal | undefined;
}

export class Standby {
  readonly layer: Layer;
  readonly #standing: StandingInstance;
  /** Resolves when it is started or ended. */
  readonly used: Promise<void>;
  #isUsed = false;
  #use: () => void = () => {};

  constructor(layer: Layer, standing: StandingInstance) {
    this.layer = layer;
    this.#standing = standing;
    this.used = new Promise((resolve) => {
      this.#use = () => {
        this.#isUsed = true;
        resolve();
      };
    });
  }

  /** Rejects when its process was killed meanwhile; then it is ended. */
  async start(): Promise<Instance> {
    this.#use();
    try {
      const instance = await this.#standing.start();
      this.layer.begun({ isRoot: false });
      return instance;
    } catch (error) {
      await this.layer.release();
      throw error;
    }
  }

  /** Resolves when nothing of it is left, unless it was started. */
  async end(): Promise<void> {
    if (this.#isUsed) return;
    const ended = this.#standing.end();
    await this.layer.release(ended);
    this.#use();
  }
}
