/** The tests that have to be run, and what becomes of those whose driver ended before they had a result. */
import { nextShare, type Unit } from './shares.ts';

/** A test is run again once. */
const MOST_ATTEMPTS = 2;

export interface ShareEnd {
  /** Names of the tests that have all their results. */
  readonly complete: ReadonlySet<string>;
  /** The test that the driver was at, when it ended early. */
  readonly current: string | undefined;
  /** Whether another attempt may give another result. */
  readonly mayRetry: boolean;
}

export interface Left {
  /** Are run again. */
  readonly again: readonly Unit[];
  /** Are given up. */
  readonly lost: readonly Unit[];
}

export class Queue {
  #waiting: Unit[];
  readonly #attempts = new Map<string, number>();
  /** Run alone, because a driver ended while it ran them. */
  readonly #alone = new Set<string>();

  constructor(units: readonly Unit[]) {
    this.#waiting = [...units];
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  take(jobs: number, times: readonly number[]): Unit[] {
    const [first] = this.#waiting;
    if (first === undefined) return [];
    const together = this.#waiting.filter(({ name }) => !this.#alone.has(name));
    const share = this.#alone.has(first.name) ? [first] : nextShare(together, jobs, times);
    this.#waiting = this.#waiting.filter((unit) => !share.includes(unit));
    return share;
  }

  ended(share: readonly Unit[], { complete, current, mayRetry }: ShareEnd): Left {
    const left = share.filter(({ name }) => !complete.has(name));
    const again: Unit[] = [];
    const lost: Unit[] = [];
    for (const unit of left) {
      // Those behind the one that the driver was at were not tried.
      const tried = current === undefined || unit.name === current;
      const attempts = (this.#attempts.get(unit.name) ?? 0) + (tried ? 1 : 0);
      this.#attempts.set(unit.name, attempts);
      if (unit.name === current) this.#alone.add(unit.name);
      if (attempts < MOST_ATTEMPTS && (mayRetry || !tried)) again.push(unit);
      else lost.push(unit);
    }
    this.#waiting = [...again, ...this.#waiting];
    return { again, lost };
  }
}
