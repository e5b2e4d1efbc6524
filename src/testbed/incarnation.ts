/** What one open or revert makes: namespaces, upper layer and network, and the order in which they end. */

import type { Baseline } from '../leaks/baseline.ts';
import type { Instance } from '../namespaces/instance.ts';
import type { Connection } from '../network/connector.ts';
import type { ReportFile } from './report-file.ts';
import type { Upper } from './scratch.ts';

/** A running set of namespaces with its upper layer and its network: all that one open or revert makes. */
export class Incarnation {
  readonly instance: Instance;
  readonly connection: Connection | undefined;
  readonly baseline: Baseline;
  /** What its execute programs report; undefined when there is no place for a file. */
  readonly report: ReportFile | undefined;
  /** Resolves when `end` has done what it could. */
  readonly ended: Promise<void>;
  readonly #upper: Upper;
  readonly #strike: () => void;
  #tellEnded: () => void = () => {};
  #ending: Promise<void> | undefined;

  /** @param strike strikes it out of the registry */
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

  /** See Upper. */
  get largePages(): boolean {
    return this.#upper.largePages;
  }

  /** Resolves when nothing of it is left; one and the same end for all who call it. */
  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    const steps = [
      async () => this.connection?.end(),
      async () => this.#strike(),
      () => this.instance.stop(),
      // Not before: until then an execute program may open what has the descriptor's number.
      async () => this.report?.close(),
      // Even when somebody still has a file of it open: then at least the disk is free again.
      () => this.#upper.remove(),
    ];
    const failures: unknown[] = [];
    for (const step of steps) await step().catch((error: unknown) => failures.push(error));
    this.#tellEnded();
    if (failures.length > 0) throw failures[0];
  }
}
