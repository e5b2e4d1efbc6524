import type { Baseline } from '../leaks/baseline.ts';
import type { Instance } from '../namespaces/instance.ts';
import type { Connection } from '../network/connector.ts';
import type { ReportFile } from './report-file.ts';
import type { Upper } from './scratch.ts';

export class Incarnation {
  readonly instance: Instance;
  readonly connection: Connection | undefined;
  readonly baseline: Baseline;
  readonly report: ReportFile | undefined;
  readonly ended: Promise<void>;
  readonly #upper: Upper;
  readonly #strike: () => void;
  #tellEnded: () => void = () => {};
  #ending: Promise<void> | undefined;

  constructor(
    instance: Instance,
    upper: Upper,
    connection: Connection | undefined,
    baseline: Baseline,
    report: ReportFile | undefined,
    strike: () => void,
  ) {
    this.baseline = baseline;
    this.report = report;
    this.#strike = strike;
    this.ended = new Promise((resolve) => {
      this.#tellEnded = resolve;
    });
    this.instance = instance;
    this.connection = connection;
    this.#upper = upper;
  }

  get largePages(): boolean {
    return this.#upper.largePages;
  }

  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    const steps = [
      async () => this.connection?.end(),
      async () => this.#strike(),
      () => this.instance.stop(),
      // Before that, an execute program may open a file with the same descriptor number.
      async () => this.report?.close(),
      // Also when a process still has a file of it open: then at least the disk is free again.
      () => this.#upper.remove(),
    ];
    const failures: unknown[] = [];
    for (const step of steps) await step().catch((error: unknown) => failures.push(error));
    this.#tellEnded();
    if (failures.length > 0) throw failures[0];
  }
}
