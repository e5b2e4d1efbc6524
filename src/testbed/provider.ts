/** Opens testbeds over what was prepared once, and ends all of them at `dispose`. */
import { lstatSync } from 'node:fs';
import { freemem } from 'node:os';
import { messageOf, TestbedError } from '../errors.ts';
import type { Recorder } from '../events/recorder.ts';
import { readBaseline } from '../leaks/baseline.ts';
import { type Leak, newLeaks } from '../leaks/leak.ts';
import type { Log } from '../log.ts';
import type { Holder } from '../namespaces/holder.ts';
import { type IdMaps, insideUser } from '../namespaces/idmap.ts';
import { Instance, type InstanceOptions } from '../namespaces/instance.ts';
import { root } from '../namespaces/steps.ts';
import type { Connection } from '../network/connector.ts';
import { thisProcess } from '../processes/identity.ts';
import { register } from '../processes/open-testbeds.ts';
import { randomBytes, randomUuid } from '../random.ts';
import { imageNameFor } from '../rootfs/order.ts';
import { within } from '../wait.ts';
import { AptCaches, type Aside } from './apt-caches.ts';
import { awaitBoot, failedUnits } from './boot.ts';
import { checkCommit } from './committing.ts';
import { type Holding, idMapsFor } from './holding.ts';
import { Incarnation } from './incarnation.ts';
import type { Init } from './init.ts';
import { Layer, type Upper } from './layer.ts';
import { Lending } from './lending.ts';
import { layerSize, mostProcesses } from './limits.ts';
import type { TestbedMaker } from './maker.ts';
import { checkLayers, copyRoot, overlayRoot } from './mounts.ts';
import { type Prepared, prepare } from './prepare.ts';
import { ReportFile } from './report-file.ts';
import { chooseScratch, diskUpper, memoryUpper } from './scratch.ts';
import type { Snapshot } from './snapshot.ts';
import { type Place, Standby } from './standby.ts';
import { targetOf } from './target.ts';
import { Testbed } from './testbed.ts';
import type { CommitOptions, OpenTestbed, TestbedOptions, TestbedProvider } from './types.ts';

/** Bytes of free memory below which nothing is made ahead. */
const ENOUGH_FOR_STANDBY = 256 * 1024 ** 2;

/** Milliseconds that a dispose waits for the skeleton, which is filled in a few. */
const FILL_LIMIT = 2_000;

type LeakPlace = Pick<Incarnation, 'instance' | 'layer' | 'baseline' | 'report' | 'init'>;

export class Provider implements TestbedProvider, TestbedMaker {
  readonly options: TestbedOptions;
  readonly log: Log;
  readonly hostname: string;
  readonly scratchDirectory = `/tmp/autopkgtest-virt.${randomBytes(4).toString('hex')}`;
  readonly recorders = new Set<Recorder>();
  readonly #idMaps: IdMaps;
  #prepared: Promise<Prepared> | undefined;
  #scratch: ReturnType<typeof chooseScratch> | undefined;
  /** Also those that are still being made: a dispose during an open or revert has to end them. */
  readonly #incarnations = new Set<Promise<Incarnation>>();
  readonly #standbys = new Set<Promise<Standby | undefined>>();
  /** Also frozen ones, which no incarnation drops. */
  readonly #layers = new Set<Layer>();
  readonly #ending = new AbortController();
  readonly #lending: Lending | undefined;
  readonly #aptCaches: AptCaches | undefined;

  #early: Holding | undefined;

  /** @param ahead what was chosen and started for the same options before, if anything */
  constructor(
    options: TestbedOptions,
    log: Log,
    ahead: { readonly idMaps?: IdMaps; readonly early?: Holding | undefined } = {},
  ) {
    this.options = options;
    this.log = log;
    this.hostname = options.hostname ?? `testbed-${randomBytes(3).toString('hex')}`;
    this.#idMaps = ahead.idMaps ?? idMapsFor(options);
    this.#early = ahead.early;
    if (options.rememberPackages === true) this.#lending = new Lending(log);
    if (options.mode === 'overlay') this.#aptCaches = new AptCaches(log, this.#ending.signal);
  }

  /** Starts what an open needs; the open reports a failure. */
  warm(): void {
    this.#prepare().catch(() => {});
  }

  async normalUser(): Promise<string | undefined> {
    const { filled } = await this.#prepare();
    return (await filled).normalUser;
  }

  async startsServices(): Promise<boolean> {
    const { filled } = await this.#prepare();
    const { startsServices, init } = await filled;
    return startsServices || init !== undefined;
  }

  async holder(): Promise<Holder> {
    return (await this.#prepare()).holder;
  }

  async rootName(): Promise<string | undefined> {
    return (await this.#prepare()).root;
  }

  open(from?: Snapshot): Promise<OpenTestbed> {
    return Testbed.open(this, from);
  }

  async checkRoomOver(layer: Layer): Promise<void> {
    const prepared = await this.#prepare();
    checkLayers([...layer.stack, ...this.#image(prepared)]);
  }

  dispose(): Promise<void> {
    // Those that are still open have no other close.
    const recorders = [...this.recorders];
    this.recorders.clear();
    return recorders.reduce<() => Promise<void>>(
      (work, recorder) => () => recorder.end(work),
      () => this.#dispose(),
    )();
  }

  async #dispose(): Promise<void> {
    // This ends the building or unpacking of a root filesystem too.
    this.#ending.abort(new TestbedError('the server is ending', { code: 'ENDING' }));
    await this.#aptCaches?.settled();
    await Promise.allSettled([...this.#standbys].map(async (each) => (await each)?.end()));
    const made = await Promise.allSettled(this.#incarnations);
    const ends = await Promise.allSettled(
      made.map((each) => (each.status === 'fulfilled' ? each.value.end() : undefined)),
    );
    const dropped = await Promise.allSettled([...this.#layers].map((layer) => layer.drop()));
    const prepared = await this.#prepared?.catch(() => undefined);
    this.#prepared = undefined;
    if (prepared !== undefined) {
      // A process that is about to enter the holder's namespaces is not killed with those inside.
      await within(Promise.allSettled([prepared.filled]), FILL_LIMIT);
    }
    await prepared?.base.release();
    await prepared?.holder.stop();
    this.#lending?.release();
    await this.#aptCaches?.release();
    if (typeof this.options.network === 'object') this.options.network.release?.();
    for (const end of [...ends, ...dropped]) if (end.status === 'rejected') throw end.reason;
  }

  incarnate(place: Place = {}): Promise<Incarnation> {
    const making = this.#incarnate(place);
    this.#incarnations.add(making);
    const forget = () => void this.#incarnations.delete(making);
    making.then((made) => made.ended.then(forget), forget);
    return making;
  }

  standBy(over: Layer | undefined): Promise<Standby | undefined> {
    const making = this.#standBy(over);
    this.#standbys.add(making);
    const forget = () => void this.#standbys.delete(making);
    making.then((made) => (made === undefined ? forget() : made.used.then(forget)), forget);
    return making;
  }

  /** Undefined where a revert has to wait for the end of what was before, or preparing costs more than it saves. */
  async #standBy(over: Layer | undefined): Promise<Standby | undefined> {
    const prepared = await this.#prepare();
    this.#ending.signal.throwIfAborted();
    // The next incarnation has the packages of the one before it.
    const apt =
      this.options.mode === 'overlay' &&
      prepared.connector.connect === undefined &&
      this.#lending === undefined &&
      this.#aptCaches?.isMaking !== true;
    if (!apt || this.#scratch?.kind !== 'tmpfs' || freemem() < ENOUGH_FOR_STANDBY) return undefined;
    const layer = this.#newLayer(
      prepared,
      memoryUpper(layerSize(this.#scratch.size, this.options.maxMemory)),
      over,
    );
    try {
      const { init } = await prepared.filled;
      const plan = this.#plan(prepared, layer, { init });
      return new Standby(layer, await Instance.standBy(prepared.holder, plan));
    } catch (error) {
      await layer.release().catch(() => {});
      throw error;
    }
  }

  async #incarnate(place: Place): Promise<Incarnation> {
    const preparing = this.#prepare();
    const prepared = await preparing.catch((error: unknown) => {
      // The next open tries again.
      if (this.#prepared === preparing) this.#prepared = undefined;
      throw error;
    });
    this.#ending.signal.throwIfAborted();
    const { instance, layer } = await this.#startOver(prepared, place).catch(async (error: unknown) => {
      const isFilled = await prepared.filled.then(
        () => true,
        () => false,
      );
      if (!isFilled || !prepared.holder.alive) await this.#forget(preparing, prepared);
      throw error;
    });
    let connection: Connection | undefined;
    try {
      connection = await prepared.connector.connect?.(prepared.holder, instance.pid);
      const report = place.before === undefined ? ReportFile.open(this.log) : place.before.report;
      const { init } = await prepared.filled;
      const failed = init === undefined ? [] : await this.#boot(init, instance, report);
      const parts = {
        ...{ instance, layer, report, init },
        baseline: readBaseline(instance.pid, this.options.network !== 'host'),
      };
      const baseline =
        init === undefined ? parts.baseline : { ...parts.baseline, booted: await this.#leaks(parts, failed) };
      const unregister = this.#register(prepared, parts);
      const strike = () => {
        unregister();
        this.#aptCaches?.notice(layer, prepared, () => this.#aside(prepared));
      };
      const lending = this.#lending;
      const harvest = lending && (() => lending.remember(layer, prepared));
      return new Incarnation({ ...parts, connection, baseline, strike, harvest });
    } catch (error) {
      const cleanUp = [
        () => connection?.end(),
        () => instance.stop(),
        () => (place.layer === undefined ? layer.release() : undefined),
      ];
      for (const step of cleanUp) {
        // Only a consequence of the error.
        await step()?.catch((left: unknown) => this.log.warn(messageOf(left)));
      }
      throw error;
    }
  }

  /** Gives the units that have failed. */
  async #boot(init: Init, instance: Instance, report: ReportFile | undefined): Promise<readonly string[]> {
    const { options, log } = this;
    const target = targetOf({ instance, report }, options);
    const failed = await awaitBoot({ init, instance, target, log, signal: this.#ending.signal });
    if (failed.length > 0) {
      log.warn(
        `units of the testbed failed when it booted: ${failed.join(', ')}; 'journalctl -b -u UNIT' in it has the reason`,
      );
    }
    return failed;
  }

  /** Ends what was prepared, so that the next open prepares again. */
  async #forget(preparing: Promise<Prepared>, prepared: Prepared): Promise<void> {
    if (this.#prepared !== preparing) return;
    this.#prepared = undefined;
    await prepared.base.release();
    await prepared.holder.stop().catch((error: unknown) => this.log.warn(messageOf(error)));
  }

  /** For `ps` and `exec`. A failure does not stop the open. */
  #register(
    { root, holder, base, cache }: Prepared,
    {
      instance: { pid, startTime, commandGroup },
      layer,
      report,
      init,
    }: Pick<Incarnation, 'instance' | 'layer' | 'report' | 'init'>,
  ): () => void {
    const scratch = this.#scratch?.kind === 'directory' ? this.#scratch.path : '';
    const entry = {
      ...{ pid, startTime, name: this.options.name ?? this.hostname, since: Date.now(), root, scratch },
      ...{ ownNetwork: this.options.network !== 'host', owner: process.pid },
      ...{ holder: holder.pid, layers: layer.stack, mode: this.options.mode },
      ...{ bases: cache.bases, keys: base.keys, binds: this.options.binds.map(({ inside }) => inside) },
      ...(report === undefined ? {} : { report: report.path }),
      ...(init === undefined ? {} : { init: init.path }),
      ...(commandGroup === undefined ? {} : { group: commandGroup }),
      ...(this.options.closable === true ? { opener: thisProcess() } : {}),
    };
    try {
      return register(entry, process.env);
    } catch (error) {
      this.log.debug(`ps and exec will not see the testbed: ${messageOf(error)}`);
      return () => {};
    }
  }

  async commit({ instance, layer, init }: Incarnation, image: CommitOptions): Promise<string> {
    checkCommit(this.options);
    const { commitImage } = await import('../rootfs/commit.ts');
    const { holder, base, root, cache } = await this.#prepare();
    const { log, options } = this;
    const name = imageNameFor(image.name, options.root.arch);
    await commitImage({
      ...{ ...image, name, holder, cache, log, root, pid: instance.pid, hasInit: init !== undefined },
      ...{ keys: base.keys, uppers: layer.stack, binds: options.binds.map(({ inside }) => inside) },
    });
    return name;
  }

  async leaks(incarnation: LeakPlace): Promise<Leak[]> {
    const { init } = incarnation;
    const failed =
      init?.kind === 'systemd'
        ? await failedUnits({ target: targetOf(incarnation, this.options), log: this.log })
        : [];
    return this.#leaks(incarnation, failed);
  }

  async #leaks(incarnation: LeakPlace, failed: readonly string[]): Promise<Leak[]> {
    const { instance, layer, baseline, report, init } = incarnation;
    const { collectLeaks } = await import('../leaks/collect.ts');
    const prepared = await this.#prepare();
    const { holder } = prepared;
    const { scratchDirectory, log } = this;
    const { pid, mark } = instance;
    const place = {
      boundAt: this.options.binds.map(({ inside }) => inside),
      ...{
        pid,
        // Without one, a child of pid 1 reads the lifeline.
        mark: init === undefined ? mark : undefined,
        exceptManagers: init !== undefined,
        baseline,
        layers: this.#below(prepared, layer),
        scratchDirectory,
        holder: holder.pid,
      },
      insideUser: (uid: number) => insideUser(holder.idMap, uid),
    };
    const ofUnits = failed.map((name): Leak => ({ kind: 'unit', name, state: 'failed' }));
    return [
      ...(await collectLeaks(place, log)),
      ...newLeaks(baseline.booted ?? [], ofUnits),
      ...(report?.ended() ?? []),
    ];
  }

  async #startOver(prepared: Prepared, place: Place): Promise<{ instance: Instance; layer: Layer }> {
    try {
      const { standby } = place;
      if (standby !== undefined) {
        const begun = await standby.start().catch((error: unknown) => {
          this.log.debug(`what was made ahead cannot be used: ${messageOf(error)}`);
        });
        if (begun !== undefined) return { instance: begun, layer: standby.layer };
      }
      if (place.layer !== undefined) {
        const { layer, before } = place;
        return { instance: await this.#start(prepared, layer, before?.mark), layer };
      }
      return await this.#startOverScratch(prepared, place.over);
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

  async #startOverScratch(
    prepared: Prepared,
    over: Layer | undefined,
  ): Promise<{ instance: Instance; layer: Layer }> {
    this.#scratch ??= chooseScratch(this.options.scratch, prepared.scratchFolder);
    if (this.#scratch.kind === 'tmpfs') {
      try {
        return await this.#startOverNew(
          prepared,
          over,
          memoryUpper(layerSize(this.#scratch.size, this.options.maxMemory)),
        );
      } catch (error) {
        if (this.options.scratch.kind !== 'auto') throw error;
        // Before Linux 6.6 a tmpfs has no user xattrs, so it cannot be an upper layer in a user namespace.
        this.log.debug(`no upper layer in memory (${String(error)}); using a directory of the cache`);
        this.#scratch = { kind: 'directory', path: prepared.scratchFolder };
      }
    }
    const upper = await diskUpper(this.#scratch.path, prepared.holder, this.log);
    return this.#startOverNew(prepared, over, upper);
  }

  async #startOverNew(
    prepared: Prepared,
    over: Layer | undefined,
    upper: Upper,
  ): Promise<{ instance: Instance; layer: Layer }> {
    const layer = this.#newLayer(prepared, upper, over);
    try {
      return { instance: await this.#start(prepared, layer), layer };
    } catch (error) {
      await layer.release().catch(() => {});
      throw error;
    }
  }

  #newLayer(prepared: Prepared, upper: Upper, over: Layer | undefined): Layer {
    const layer = new Layer(prepared.holder, upper, over);
    for (const each of this.#layers) if (each.dropped) this.#layers.delete(each);
    this.#layers.add(layer);
    return layer;
  }

  async #start(prepared: Prepared, layer: Layer, mark?: string): Promise<Instance> {
    const { init } = await prepared.filled;
    const instance = await Instance.start(prepared.holder, this.#plan(prepared, layer, { mark, init }));
    layer.begun({ isRoot: this.options.mode === 'copy' });
    return instance;
  }

  /** A testbed for the server's own use. Undefined with too little memory. */
  async #aside(prepared: Prepared): Promise<Aside | undefined> {
    const scratch = this.#scratch;
    if (scratch?.kind === 'tmpfs' && freemem() < ENOUGH_FOR_STANDBY) return undefined;
    const upper =
      scratch?.kind === 'directory'
        ? await diskUpper(scratch.path, prepared.holder, this.log)
        : memoryUpper(layerSize(scratch?.size, this.options.maxMemory));
    const layer = this.#newLayer(prepared, upper, undefined);
    try {
      const plan = this.#plan(prepared, layer, { init: undefined });
      const instance = await Instance.start(prepared.holder, plan);
      layer.begun({ isRoot: false });
      return { instance, layer, target: targetOf({ instance, report: undefined }, this.options) };
    } catch (error) {
      await layer.release().catch(() => {});
      throw error;
    }
  }

  /** The layers below what testbeds write, topmost first. */
  #image(prepared: Prepared): string[] {
    const [skeleton = '', ...image] = prepared.layers;
    const ahead = [this.#lending?.layer(prepared), this.#aptCaches?.layer(prepared)];
    return [skeleton, ...ahead.filter((layer) => layer !== undefined), ...image];
  }

  /** The lower layers, topmost first. */
  #below(prepared: Prepared, { over }: Layer): string[] {
    return [...(over?.stack ?? []), ...this.#image(prepared)];
  }

  #plan(
    prepared: Prepared,
    layer: Layer,
    { mark, init }: { readonly mark?: string | undefined; readonly init: Init | undefined },
  ): InstanceOptions {
    const copying = this.options.mode === 'copy';
    const { upper, over, onDisk } = layer;
    const work = layer.nextWork();
    // A copy is whole.
    const whole = layer.isUsed ? [] : over === undefined ? prepared.layers : [over.upper];
    const below = this.#below(prepared, layer);
    return {
      hostname: this.hostname,
      maxProcesses: mostProcesses(this.options.maxProcesses),
      before: layer.steps,
      steps: [
        root('/'),
        ...(copying ? copyRoot(whole, upper) : overlayRoot(below, { upper, work, volatile: onDisk })),
        ...prepared.mounts(randomUuid(), init),
      ],
      ownNetwork: this.options.network !== 'host',
      // The root of a plain copy is not a file system of its own, or it is that of the layer.
      ownFileSystem: copying ? '/dev/pts' : '',
      init: init?.path,
      mark,
      log: this.log,
    };
  }

  #prepare(): Promise<Prepared> {
    const { options, hostname, scratchDirectory, log } = this;
    const { signal } = this.#ending;
    // A request that still runs must not prepare again.
    if (this.#prepared === undefined && signal.aborted) return Promise.reject(signal.reason);
    if (this.#prepared === undefined) {
      this.#prepared = prepare({
        ...{ options, hostname, scratchDirectory, log },
        ...{ idMaps: this.#idMaps, signal, early: this.#early },
      });
      this.#early = undefined;
    }
    return this.#prepared;
  }
}
