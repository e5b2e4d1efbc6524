/** What a command has left. The directories are held open from the start, so that mounts over their names hide nothing. */
import { closeSync, openSync } from 'node:fs';
import { readBaseline } from '../leaks/baseline.ts';
import { collectLeaks, type Place } from '../leaks/collect.ts';
import { type Leak, newLeaks } from '../leaks/leak.ts';
import type { HeldDirectory } from '../leaks/look.ts';
import type { Log } from '../log.ts';
import type { Isolation } from './isolation.ts';

export class Watch {
  readonly #held: readonly HeldDirectory[];
  readonly #place: Place;
  readonly #log: Log;
  #before: readonly Leak[] = [];

  private constructor({ pid, insideUser }: Isolation, log: Log) {
    this.#log = log;
    this.#held = ['/tmp', '/dev/shm'].flatMap((path) => {
      try {
        return [{ path, descriptor: openSync(`/proc/${pid}/root${path}`, 'r') }];
      } catch {
        return [];
      }
    });
    this.#place = {
      ...{ pid, insideUser, layers: [], held: this.#held },
      baseline: readBaseline(pid, false),
    };
  }

  static async start(isolation: Isolation, log: Log): Promise<Watch> {
    const watch = new Watch(isolation, log);
    watch.#before = await watch.remains();
    return watch;
  }

  /** Of directories the entries only, not what is below them. */
  async remains(): Promise<Leak[]> {
    return newLeaks(this.#before, await collectLeaks(this.#place, this.#log));
  }

  close(): void {
    for (const { descriptor } of this.#held) closeSync(descriptor);
  }
}
