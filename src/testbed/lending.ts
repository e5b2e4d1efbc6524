/** Packages of apt that earlier testbeds downloaded, in those of one server: see rootfs/packages.ts. */
import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Holder } from '../namespaces/holder.ts';
import type { CacheFolder } from '../rootfs/cache.ts';
import { readPackages } from '../rootfs/record.ts';
import { addUser, removeUser } from '../rootfs/users.ts';
import type { Layer } from './layer.ts';

interface Place {
  readonly holder: Holder;
  readonly cache: CacheFolder;
}

export class Lending {
  readonly #log: Log;
  /** Marks of use, by the trees: a testbed may have each as a layer until the server ends. */
  readonly #marks = new Map<string, string>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** The newest tree of packages, as the holder sees it: a layer for a new testbed. */
  layer({ holder, cache }: Place): string | undefined {
    const [newest] = readPackages(cache, holder.idMap.key);
    if (newest === undefined) return undefined;
    const { key, folder } = newest;
    if (!this.#marks.has(key)) {
      const mark = addUser(folder);
      // Another server has replaced it meanwhile.
      if (mark === undefined) return undefined;
      this.#marks.set(key, mark);
    }
    return holder.inside(join(folder, 'tree/root'));
  }

  /** Keeps what was downloaded into a layer whose processes have ended. A failure costs only time later. */
  async remember(layer: Layer, place: Place): Promise<void> {
    const seen = `/proc/${place.holder.pid}/root${layer.upper}`;
    const { rememberPackages } = await import('../rootfs/packages.ts');
    await rememberPackages(layer.upper, seen, { ...place, log: this.#log }).catch((error: unknown) =>
      this.#log.warn(`the packages of a testbed are not remembered: ${messageOf(error)}`),
    );
  }

  release(): void {
    for (const mark of this.#marks.values()) removeUser(mark);
    this.#marks.clear();
  }
}
