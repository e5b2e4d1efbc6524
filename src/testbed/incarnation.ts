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
  #tellEnded: () => void = () => {};
  #ending: Promise<void> | undefined;

  constructor({ instance, layer, connection, baseline, report, init, strike }: Parts) {
    this.init = init;
    this.baseline = baseline;
    this.report = report;
    this.#strike = strike;
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

  /** Ends it, and drops its layer unless that is kept for another incarnation or as a snapshot; likewise its report. */
  end({ keepLayer = false, keepReport = false } = {}): Promise<void> {
    this.#ending ??= this.#end(keepLayer, keepReport);
    return this.#ending;
  }

  async #end(keepLayer: boolean, keepReport: boolean): Promise<void> {
    let dropped: Promise<void> | undefined;
    const steps = [
      async () => this.connection?.end(),
      async () => this.#strike(),
      () => {
        const stopped = this.instance.stop();
        // One request after the other, without a wait.
        if (!keepLayer) dropped = this.layer.release(stopped);
        dropped?.catch(() => {});
        return stopped;
      },
      // Before that, an execute program may open a file with the same descriptor number.
      async () => (keepReport ? undefined : this.report?.close()),
      async () => dropped,
    ];
    const failures: unknown[] = [];
    for (const step of steps) await step().catch((error: unknown) => failures.push(error));
    this.#tellEnded();
    if (failures.length > 0) throw failures[0];
  }
}
