import type { Baseline } from '../leaks/baseline.ts';
import type { Instance } from '../namespaces/instance.ts';
import type { Connection } from '../network/connector.ts';
import { signalProcess } from '../processes/list.ts';
import { within } from '../wait.ts';
import { type Init, rebootSignal } from './init.ts';
import type { Layer } from './layer.ts';
import type { ReportFile } from './report-file.ts';

/** Milliseconds for an init to stop its services, after which they are killed. */
const SHUTDOWN_LIMIT = 30_000;

interface Parts {
  readonly instance: Instance;
  readonly layer: Layer;
  readonly connection: Connection | undefined;
  readonly baseline: Baseline;
  readonly report: ReportFile | undefined;
  readonly init: Init | undefined;
  /** Removes it from what `ps` shows. */
  readonly strike: () => void;
  /** What is still to be read from the layer when the processes have ended. */
  readonly harvest?: (() => Promise<void>) | undefined;
}

/** Processes and mounts over a layer. */
export class Incarnation {
  readonly instance: Instance;
  readonly layer: Layer;
  readonly connection: Connection | undefined;
  readonly baseline: Baseline;
  readonly report: ReportFile | undefined;
  readonly init: Init | undefined;
  readonly ended: Promise<void>;
  readonly #strike: () => void;
  readonly #harvest: (() => Promise<void>) | undefined;
  #tellEnded: () => void = () => {};
  #ending: Promise<void> | undefined;

  constructor({ instance, layer, connection, baseline, report, init, strike, harvest }: Parts) {
    this.init = init;
    this.baseline = baseline;
    this.report = report;
    this.#strike = strike;
    this.#harvest = harvest;
    this.ended = new Promise((resolve) => {
      this.#tellEnded = resolve;
    });
    this.instance = instance;
    this.connection = connection;
    this.layer = layer;
  }

  /** Lets an init end what it has started, in a limited time. Without one, `end` is a power failure. */
  async shutDown(): Promise<void> {
    if (this.init === undefined || !this.instance.alive) return;
    signalProcess(this.instance, rebootSignal(this.init));
    await within(this.instance.ended, SHUTDOWN_LIMIT);
  }

  /** Whether the next incarnation needs addresses, published ports or packages that this one has until its end. */
  get mustEndFirst(): boolean {
    return this.connection !== undefined || this.#harvest !== undefined;
  }

  /** Ends it, and drops its layer unless that is kept for another incarnation or as a snapshot; likewise its report. */
  end({ keepLayer = false, keepReport = false } = {}): Promise<void> {
    this.#ending ??= this.#end(keepLayer, keepReport);
    return this.#ending;
  }

  async #end(keepLayer: boolean, keepReport: boolean): Promise<void> {
    let stopped: Promise<void> = Promise.resolve();
    let dropped: Promise<void> | undefined;
    const failures: unknown[] = [];
    const steps = [
      async () => this.connection?.end(),
      async () => this.#strike(),
      () => {
        stopped = this.instance.stop();
        if (this.#harvest !== undefined) return stopped;
        // One request after the other, without a wait.
        if (!keepLayer) dropped = this.layer.release(stopped);
        dropped?.catch(() => {});
        return stopped;
      },
      // Before that, an execute program may open a file with the same descriptor number.
      async () => (keepReport ? undefined : this.report?.close()),
      async () => {
        if (this.#harvest === undefined) return dropped;
        // A failure of the end leaves a process that may still write.
        if (failures.length === 0) await this.#harvest();
        return keepLayer ? undefined : this.layer.release(stopped);
      },
    ];
    for (const step of steps) await step().catch((error: unknown) => failures.push(error));
    this.#tellEnded();
    if (failures.length > 0) throw failures[0];
  }
}
