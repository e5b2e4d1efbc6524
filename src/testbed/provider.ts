/** Opens testbeds over what was prepared once, and ends all of them at `dispose`. */
import { messageOf, TestbedError } from '../errors.ts';
import type { Recorder } from '../events/recorder.ts';
import { readBaseline } from '../leaks/baseline.ts';
import type { Leak } from '../leaks/leak.ts';
import type { Log } from '../log.ts';
import type { Holder } from '../namespaces/holder.ts';
import type { IdMaps } from '../namespaces/idmap.ts';
import type { Instance } from '../namespaces/instance.ts';
import type { Connection } from '../network/connector.ts';
import { signalProcess } from '../processes/list.ts';
import { randomBytes } from '../random.ts';
import { imageNameFor } from '../rootfs/order.ts';
import { unlessAborted, within } from '../wait.ts';
import { checkCommit } from './committing.ts';
import { type Holding, idMapsFor } from './holding.ts';
import { Incarnation } from './incarnation.ts';
import type { Init } from './init.ts';
import type { Layer } from './layer.ts';
import type { Looked } from './leaks.ts';
import type { TakenName } from './life.ts';
import type { TestbedMaker } from './maker.ts';
import { checkLayers } from './mounts.ts';
import { type Prepared, prepare } from './prepare.ts';
import { registerTestbed } from './registration.ts';
import { ReportFile } from './report-file.ts';
import type { Snapshot } from './snapshot.ts';
import type { Place, Standby } from './standby.ts';
import { Starter } from './starter.ts';
import { targetOf } from './target.ts';
import { Testbed } from './testbed.ts';
import type { CommitOptions, OpenTestbed, TestbedOptions, TestbedProvider } from './types.ts';

/** Milliseconds that a dispose waits for the skeleton, which is filled in a few. */
const FILL_LIMIT = 2_000;

export class Provider implements TestbedProvider, TestbedMaker {
  readonly options: TestbedOptions;
  readonly log: Log;
  readonly hostname: string;
  readonly scratchDirectory = `/tmp/autopkgtest-virt.${randomBytes(4).toString('hex')}`;
  readonly recorders = new Set<Recorder>();
  readonly #idMaps: IdMaps;
  #prepared: Promise<Prepared> | undefined;
  /** Also those that are still being made: a dispose during an open or revert has to end them. */
  readonly #incarnations = new Set<Promise<Incarnation>>();
  readonly #standbys = new Set<Promise<Standby | undefined>>();
  readonly #names = new Set<string>();
  readonly #ending = new AbortController();
  readonly #starter: Starter;
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
    this.#starter = new Starter(options, { hostname: this.hostname, log, signal: this.#ending.signal });
  }

  get ending(): AbortSignal {
    return this.#ending.signal;
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

  takeName(): TakenName {
    const first = this.options.name ?? this.hostname;
    let name = first;
    for (let number = 2; this.#names.has(name); number++) name = `${first}-${number}`;
    this.#names.add(name);
    let free = () => {
      this.#names.delete(name);
      free = () => {};
    };
    return { name, free: () => free() };
  }

  open(from?: Snapshot): Promise<OpenTestbed> {
    return Testbed.open(this, { from });
  }

  async checkRoomOver(layer: Layer): Promise<void> {
    const prepared = await this.#prepare();
    checkLayers([...layer.stack, ...this.#starter.imageLayers(prepared)]);
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
    await this.#starter.settled();
    await Promise.allSettled([...this.#standbys].map(async (each) => (await each)?.end()));
    const made = await Promise.allSettled(this.#incarnations);
    const ends = await Promise.allSettled(
      made.map((each) => (each.status === 'fulfilled' ? each.value.end() : undefined)),
    );
    const dropped = await this.#starter.dropLayers();
    const prepared = await this.#prepared?.catch(() => undefined);
    this.#prepared = undefined;
    if (prepared !== undefined) {
      // A process that is about to enter the holder's namespaces is not killed with those inside.
      await within(Promise.allSettled([prepared.filled]), FILL_LIMIT);
    }
    const { network } = this.options;
    const steps = [
      async () => prepared?.base.release(),
      async () => prepared?.holder.stop(),
      () => this.#starter.release(),
      async () => (typeof network === 'object' ? network.release?.() : undefined),
    ];
    for (const step of steps) ends.push(...(await Promise.allSettled([step()])));
    for (const end of [...ends, ...dropped]) if (end.status === 'rejected') throw end.reason;
  }

  incarnate(place: Place): Promise<Incarnation> {
    const making = this.#incarnate(place);
    this.#incarnations.add(making);
    const forget = () => void this.#incarnations.delete(making);
    making.then((made) => made.ended.then(forget), forget);
    return making;
  }

  standBy(over: Layer | undefined): Promise<Standby | undefined> {
    const making = this.#prepare().then((prepared) => {
      this.#ending.signal.throwIfAborted();
      return this.#starter.standBy(prepared, over);
    });
    this.#standbys.add(making);
    const forget = () => void this.#standbys.delete(making);
    making.then((made) => (made === undefined ? forget() : made.used.then(forget)), forget);
    return making;
  }

  async #incarnate(place: Place): Promise<Incarnation> {
    const preparing = this.#prepare();
    const ready = preparing.catch((error: unknown) => {
      // The next open tries again.
      if (this.#prepared === preparing) this.#prepared = undefined;
      throw error;
    });
    // Others may wait for it too.
    const prepared = await unlessAborted(ready, place.signal);
    this.#ending.signal.throwIfAborted();
    const make = () => this.#make(preparing, prepared, place);
    if (this.options.init === undefined) return make();
    const { whileMovesAreQuick } = await import('../namespaces/quick-moves.ts');
    return whileMovesAreQuick(make);
  }

  async #make(preparing: Promise<Prepared>, prepared: Prepared, place: Place): Promise<Incarnation> {
    const { instance, layer } = await this.#starter.start(prepared, place).catch(async (error: unknown) => {
      const isFilled = await prepared.filled.then(
        () => true,
        () => false,
      );
      if (!isFilled || !prepared.holder.alive) await this.#forget(preparing, prepared);
      throw error;
    });
    let connection: Connection | undefined;
    const report = place.before === undefined ? ReportFile.open(this.log) : place.before.report;
    const signal = this.#endOr(place.signal);
    try {
      place.signal?.throwIfAborted();
      connection = await prepared.connector.connect?.(prepared.holder, instance.pid, signal);
      const { init } = await prepared.filled;
      const failed = init === undefined ? [] : await this.#boot(init, instance, { report, signal });
      const parts = {
        ...{ instance, layer, report, init },
        baseline: readBaseline(instance.pid, this.options.network !== 'host'),
      };
      const isLookedAt = init !== undefined && this.options.asksLeaks !== false;
      const baseline = isLookedAt
        ? { ...parts.baseline, booted: await this.leaks(parts, failed) }
        : parts.baseline;
      place.signal?.throwIfAborted();
      const unregister = registerTestbed(parts, {
        ...{ prepared, options: this.options, name: place.name, log: this.log },
        scratchOnDisk: this.#starter.scratchOnDisk,
      });
      const strike = () => {
        unregister();
        this.#starter.notice(prepared, layer);
      };
      const harvest = this.#starter.harvest(prepared, layer);
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
      if (place.before === undefined) report?.close();
      throw error;
    }
  }

  #endOr(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined ? this.#ending.signal : AbortSignal.any([this.#ending.signal, signal]);
  }

  /** Gives the units that have failed. */
  async #boot(
    init: Init,
    instance: Instance,
    { report, signal }: { readonly report: ReportFile | undefined; readonly signal: AbortSignal },
  ): Promise<readonly string[]> {
    const { options, log } = this;
    // What was asked of the init has no answer then.
    const kill = () => signalProcess(instance, 'SIGKILL');
    signal.addEventListener('abort', kill);
    if (signal.aborted) kill();
    const target = targetOf({ instance, report }, options);
    const { awaitBoot } = await import('./boot.ts');
    const failed = await awaitBoot({ init, instance, target, log, signal }).finally(() =>
      signal.removeEventListener('abort', kill),
    );
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

  /** @param failed units, where these are known */
  async leaks(incarnation: Looked, failed?: readonly string[]): Promise<Leak[]> {
    const { leaksOf } = await import('./leaks.ts');
    const prepared = await this.#prepare();
    const { options, scratchDirectory, log } = this;
    const layers = this.#starter.layersBelow(prepared, incarnation.layer);
    return leaksOf(incarnation, {
      ...{ options, scratchDirectory, layers, log, failed },
      holder: prepared.holder,
    });
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
