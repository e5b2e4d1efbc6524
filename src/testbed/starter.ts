/** Layers for testbeds, and the processes that start over them. */
import { lstatSync } from 'node:fs';
import { freemem } from 'node:os';
import { messageOf, TestbedError } from '../errors.ts';
import type { Log } from '../log.ts';
import { Instance, type InstanceOptions } from '../namespaces/instance.ts';
import { root } from '../namespaces/steps.ts';
import { randomUuid } from '../random.ts';
import { AptCaches, type Aside } from './apt-caches.ts';
import type { Init } from './init.ts';
import { Layer, type Upper } from './layer.ts';
import { Lending } from './lending.ts';
import { layerSize, memoryFor, mostProcesses } from './limits.ts';
import { copyRoot, overlayRoot } from './mounts.ts';
import type { Prepared } from './prepare.ts';
import { chooseScratch, diskUpper, memoryUpper } from './scratch.ts';
import { type Place, Standby } from './standby.ts';
import { targetOf } from './target.ts';
import type { TestbedOptions } from './types.ts';

/** Bytes of free memory below which nothing is made ahead. */
const ENOUGH_FOR_STANDBY = 256 * 1024 ** 2;

export interface Started {
  readonly instance: Instance;
  readonly layer: Layer;
}

interface How {
  /** After a reboot: what the words for a command name. */
  readonly mark?: string | undefined;
  readonly init: Init | undefined;
}

export class Starter {
  readonly #options: TestbedOptions;
  readonly #hostname: string;
  readonly #log: Log;
  readonly #signal: AbortSignal;
  readonly #lending: Lending | undefined;
  readonly #aptCaches: AptCaches | undefined;
  #scratch: ReturnType<typeof chooseScratch> | undefined;
  /** Also frozen ones, which no incarnation drops. */
  readonly #layers = new Set<Layer>();

  /** @param signal aborted when the server ends */
  constructor(
    options: TestbedOptions,
    { hostname, log, signal }: { readonly hostname: string; readonly log: Log; readonly signal: AbortSignal },
  ) {
    this.#options = options;
    this.#hostname = hostname;
    this.#log = log;
    this.#signal = signal;
    if (options.rememberPackages === true) this.#lending = new Lending(log);
    if (options.mode === 'overlay') this.#aptCaches = new AptCaches(log, signal);
  }

  /** The directory of the layers, where they are on disk. */
  get scratchOnDisk(): string | undefined {
    return this.#scratch?.kind === 'directory' ? this.#scratch.path : undefined;
  }

  /** The layers below what testbeds write, topmost first. */
  imageLayers(prepared: Prepared): string[] {
    const [skeleton = '', ...image] = prepared.layers;
    const ahead = [this.#lending?.layer(prepared), this.#aptCaches?.layer(prepared)];
    return [skeleton, ...ahead.filter((layer) => layer !== undefined), ...image];
  }

  /** The layers below this one, topmost first. */
  layersBelow(prepared: Prepared, { over }: Layer): string[] {
    return [...(over?.stack ?? []), ...this.imageLayers(prepared)];
  }

  /** What is to be kept of a layer when its processes have ended, if anything. */
  harvest(prepared: Prepared, layer: Layer): (() => Promise<void>) | undefined {
    const lending = this.#lending;
    return lending && (() => lending.remember(layer, prepared));
  }

  /** Finds in the layer of an ended testbed which caches of apt the layers below do not have. */
  notice(prepared: Prepared, layer: Layer): void {
    this.#aptCaches?.notice(layer, prepared, () => this.#startAside(prepared));
  }

  /** Resolves when nothing is started in the background any more; the signal ends it soon. */
  async settled(): Promise<void> {
    await this.#aptCaches?.settled();
  }

  async start(prepared: Prepared, place: Place): Promise<Started> {
    try {
      return await this.#startAt(prepared, place);
    } catch (error) {
      const { path } = prepared.base;
      if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) throw error;
      throw new TestbedError(`the root filesystem ${path} was deleted while it was used`, {
        code: 'CACHE_DELETED',
        remedy: 'start again; rootfs prune --all deletes only what is not in use',
        cause: error,
      });
    }
  }

  /** Undefined where a revert has to wait for the end of what was before, or preparing costs more than it saves. */
  async standBy(prepared: Prepared, over: Layer | undefined): Promise<Standby | undefined> {
    // The next incarnation has the packages of the one before it.
    const isOfUse =
      this.#options.mode === 'overlay' &&
      prepared.connector.connect === undefined &&
      this.#lending === undefined &&
      this.#aptCaches?.isMaking !== true;
    if (!isOfUse || this.#scratch?.kind !== 'tmpfs' || freemem() < ENOUGH_FOR_STANDBY) return undefined;
    const layer = this.#newLayer(prepared, this.#inMemory(this.#scratch.size), over);
    try {
      const { init } = await prepared.filled;
      const plan = this.#plan(prepared, layer, { init });
      return new Standby(layer, await Instance.standBy(prepared.holder, plan));
    } catch (error) {
      await layer.release().catch(() => {});
      throw error;
    }
  }

  /** Drops all layers, whatever uses them. */
  dropLayers(): Promise<PromiseSettledResult<void>[]> {
    return Promise.allSettled([...this.#layers].map((layer) => layer.drop()));
  }

  /** Call it when no testbed is left. */
  async release(): Promise<void> {
    this.#lending?.release();
    await this.#aptCaches?.release();
  }

  async #startAt(prepared: Prepared, { standby, layer, before, over }: Place): Promise<Started> {
    const begun = await standby?.start().catch((error: unknown) => {
      this.#log.debug(`what was made ahead cannot be used: ${messageOf(error)}`);
    });
    if (begun !== undefined && standby !== undefined) return { instance: begun, layer: standby.layer };
    const { init } = await prepared.filled;
    if (layer !== undefined)
      return { instance: await this.#startOver(prepared, layer, { mark: before?.mark, init }), layer };
    this.#scratch ??= chooseScratch(this.#options.scratch, prepared.scratchFolder);
    if (this.#scratch.kind === 'tmpfs') {
      try {
        return await this.#startOverNew(prepared, this.#inMemory(this.#scratch.size), { over, init });
      } catch (error) {
        // Any other error is none of the layer.
        const isOfMount = error instanceof TestbedError && error.code === 'STEP_FAILED';
        if (this.#options.scratch.kind !== 'auto' || !isOfMount) throw error;
        // Before Linux 6.6 a tmpfs has no user xattrs, so it cannot be an upper layer in a user namespace.
        this.#log.debug(`no upper layer in memory (${String(error)}); using a directory of the cache`);
        this.#scratch = { kind: 'directory', path: prepared.scratchFolder };
      }
    }
    const upper = await diskUpper(this.#scratch.path, prepared.holder, this.#log, this.#signal);
    return this.#startOverNew(prepared, upper, { over, init });
  }

  #inMemory(size: string | undefined): Upper {
    return memoryUpper(layerSize(size, memoryFor(this.#options.maxMemory)));
  }

  async #startOverNew(
    prepared: Prepared,
    upper: Upper,
    { over, init }: { readonly over: Layer | undefined; readonly init: Init | undefined },
  ): Promise<Started> {
    const layer = this.#newLayer(prepared, upper, over);
    try {
      return { instance: await this.#startOver(prepared, layer, { init }), layer };
    } catch (error) {
      await layer.release().catch(() => {});
      throw error;
    }
  }

  /** A testbed for the server's own use. Undefined with too little memory. */
  async #startAside(prepared: Prepared): Promise<Aside | undefined> {
    const scratch = this.#scratch;
    if (scratch?.kind === 'tmpfs' && freemem() < ENOUGH_FOR_STANDBY) return undefined;
    const upper =
      scratch?.kind === 'directory'
        ? await diskUpper(scratch.path, prepared.holder, this.#log, this.#signal)
        : this.#inMemory(scratch?.size);
    const { instance, layer } = await this.#startOverNew(prepared, upper, {
      over: undefined,
      init: undefined,
    });
    return { instance, layer, target: targetOf({ instance, report: undefined }, this.#options) };
  }

  async #startOver(prepared: Prepared, layer: Layer, how: How): Promise<Instance> {
    const instance = await Instance.start(prepared.holder, this.#plan(prepared, layer, how));
    layer.begun({ isRoot: this.#options.mode === 'copy' });
    return instance;
  }

  #newLayer(prepared: Prepared, upper: Upper, over: Layer | undefined): Layer {
    const layer = new Layer(prepared.holder, upper, over);
    for (const each of this.#layers) if (each.dropped) this.#layers.delete(each);
    this.#layers.add(layer);
    return layer;
  }

  #plan(prepared: Prepared, layer: Layer, { mark, init }: How): InstanceOptions {
    const options = this.#options;
    const copying = options.mode === 'copy';
    const { upper, over, onDisk } = layer;
    const work = layer.nextWork();
    // A new copy consists of all layers; a frozen copy has all files of those below it.
    const whole = layer.isUsed ? [] : over === undefined ? prepared.layers : [over.upper];
    const below = this.layersBelow(prepared, layer);
    return {
      hostname: this.#hostname,
      maxProcesses: mostProcesses(options.maxProcesses),
      before: layer.steps,
      steps: [
        root('/'),
        ...(copying ? copyRoot(whole, upper) : overlayRoot(below, { upper, work, volatile: onDisk })),
        ...prepared.mounts(randomUuid(), init),
      ],
      ownNetwork: options.network !== 'host',
      // The root of a plain copy is not a file system of its own, or it is that of the layer.
      ownFileSystem: copying ? '/dev/pts' : '',
      init: init?.path,
      mark,
      log: this.#log,
    };
  }
}
