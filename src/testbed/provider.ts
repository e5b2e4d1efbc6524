/** Opens testbeds over what was prepared once, and ends all of them at `dispose`. */
import { lstatSync } from 'node:fs';
import { messageOf, TestbedError } from '../errors.ts';
import { readBaseline } from '../leaks/baseline.ts';
import type { Leak } from '../leaks/leak.ts';
import type { Log } from '../log.ts';
import type { Holder } from '../namespaces/holder.ts';
import { type IdMaps, insideUser } from '../namespaces/idmap.ts';
import { Instance } from '../namespaces/instance.ts';
import { root } from '../namespaces/steps.ts';
import type { Connection } from '../network/connector.ts';
import { register } from '../processes/open-testbeds.ts';
import { randomBytes } from '../random.ts';
import { within } from '../wait.ts';
import { type Holding, idMapsFor } from './holding.ts';
import { Incarnation } from './incarnation.ts';
import { copyRoot, overlayRoot, scratchSteps } from './mounts.ts';
import { type Prepared, prepare } from './prepare.ts';
import { ReportFile } from './report-file.ts';
import { chooseScratch, diskUpper, memoryUpper, type Upper } from './scratch.ts';
import { Testbed, type TestbedMaker } from './testbed.ts';
import type { OpenTestbed, TestbedOptions, TestbedProvider } from './types.ts';

/** Milliseconds that a dispose waits for the skeleton, which is filled in a few. */
const FILL_LIMIT = 2_000;

export class Provider implements TestbedProvider, TestbedMaker {
  readonly options: TestbedOptions;
  readonly log: Log;
  readonly hostname: string;
  readonly scratchDirectory = `/tmp/autopkgtest-virt.${randomBytes(4).toString('hex')}`;
  readonly #idMaps: IdMaps;
  #prepared: Promise<Prepared> | undefined;
  #scratch: ReturnType<typeof chooseScratch> | undefined;
  /** Also those that are still being made: a dispose during an open or revert has to end them. */
  readonly #incarnations = new Set<Promise<Incarnation>>();
  readonly #ending = new AbortController();

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
  }

  /** Starts what an open needs; the open reports a failure. */
  warm(): void {
    this.#prepare().catch(() => {});
  }

  async normalUser(): Promise<string | undefined> {
    const { filled } = await this.#prepare();
    return filled;
  }

  async holder(): Promise<Holder> {
    return (await this.#prepare()).holder;
  }

  open(): Promise<OpenTestbed> {
    return Testbed.open(this);
  }

  async dispose(): Promise<void> {
    // This ends the building or unpacking of a root filesystem too.
    this.#ending.abort(new TestbedError('the server is ending', { code: 'ENDING' }));
    const made = await Promise.allSettled(this.#incarnations);
    const ends = await Promise.allSettled(
      made.map((each) => (each.status === 'fulfilled' ? each.value.end() : undefined)),
    );
    const prepared = await this.#prepared?.catch(() => undefined);
    this.#prepared = undefined;
    if (prepared !== undefined) {
      // A process that is about to enter the holder's namespaces is not killed with those inside.
      await within(Promise.allSettled([prepared.filled]), FILL_LIMIT);
    }
    await prepared?.base.release();
    await prepared?.holder.stop();
    if (typeof this.options.network === 'object') this.options.network.release?.();
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  incarnate(): Promise<Incarnation> {
    const making = this.#incarnate();
    this.#incarnations.add(making);
    const forget = () => void this.#incarnations.delete(making);
    making.then((made) => made.ended.then(forget), forget);
    return making;
  }

  async #incarnate(): Promise<Incarnation> {
    const preparing = this.#prepare();
    const prepared = await preparing.catch((error: unknown) => {
      // The next open tries again.
      if (this.#prepared === preparing) this.#prepared = undefined;
      throw error;
    });
    this.#ending.signal.throwIfAborted();
    const { instance, upper } = await this.#startOver(prepared).catch(async (error: unknown) => {
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
      const baseline = readBaseline(instance.pid, this.options.network !== 'host');
      const report = ReportFile.open(this.log);
      const strike = this.#register(prepared, instance, report);
      return new Incarnation(instance, upper, connection, baseline, report, strike);
    } catch (error) {
      const cleanUp = [() => connection?.end(), () => instance.stop(), () => upper.remove()];
      for (const step of cleanUp) {
        // Only a consequence of the error.
        await step()?.catch((left: unknown) => this.log.warn(messageOf(left)));
      }
      throw error;
    }
  }

  /** Ends what was prepared, so that the next open prepares again. */
  async #forget(preparing: Promise<Prepared>, prepared: Prepared): Promise<void> {
    if (this.#prepared !== preparing) return;
    this.#prepared = undefined;
    await prepared.base.release();
    await prepared.holder.stop().catch((error: unknown) => this.log.warn(messageOf(error)));
  }

  /** For `ps` and `exec`. A failure does not stop the open. */
  #register({ root }: Prepared, { pid, startTime }: Instance, report: ReportFile | undefined): () => void {
    const scratch = this.#scratch?.kind === 'directory' ? this.#scratch.path : '';
    const entry = {
      ...{ pid, startTime, name: this.hostname, since: Date.now(), root, scratch },
      ...{ ownNetwork: this.options.network !== 'host', owner: process.pid },
      ...(report === undefined ? {} : { report: report.path }),
    };
    try {
      return register(entry, process.env);
    } catch (error) {
      this.log.debug(`ps and exec will not see the testbed: ${messageOf(error)}`);
      return () => {};
    }
  }

  async leaks({ instance, baseline, report }: Incarnation): Promise<Leak[]> {
    const { collectLeaks } = await import('../leaks/collect.ts');
    const { holder, layers } = await this.#prepare();
    const { scratchDirectory, log } = this;
    const { pid, mark } = instance;
    const place = {
      boundAt: this.options.binds.map(({ inside }) => inside),
      ...{ pid, mark, layers, baseline, scratchDirectory, holder: holder.pid },
      insideUser: (uid: number) => insideUser(holder.idMap, uid),
    };
    return [...(await collectLeaks(place, log)), ...(report?.ended() ?? [])];
  }

  async #startOver(prepared: Prepared): Promise<{ instance: Instance; upper: Upper }> {
    try {
      return await this.#startOverScratch(prepared);
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

  async #startOverScratch(prepared: Prepared): Promise<{ instance: Instance; upper: Upper }> {
    this.#scratch ??= chooseScratch(this.options.scratch, prepared.scratchFolder);
    if (this.#scratch.kind === 'tmpfs') {
      const upper = memoryUpper(this.#scratch.size);
      try {
        return { instance: await this.#start(prepared, upper), upper };
      } catch (error) {
        if (this.options.scratch.kind !== 'auto') throw error;
        // Before Linux 6.6 a tmpfs has no user xattrs, so it cannot be an upper layer in a user namespace.
        this.log.debug(`no upper layer in memory (${String(error)}); using a directory of the cache`);
        this.#scratch = { kind: 'directory', path: prepared.scratchFolder };
      }
    }
    const upper = await diskUpper(this.#scratch.path, prepared.holder, this.log);
    try {
      return { instance: await this.#start(prepared, upper), upper };
    } catch (error) {
      await upper.remove().catch(() => {});
      throw error;
    }
  }

  async #start(prepared: Prepared, upper: Upper): Promise<Instance> {
    const copying = this.options.mode === 'copy';
    await prepared.filled;
    return Instance.start(prepared.holder, {
      hostname: this.hostname,
      steps: [
        root('/'),
        ...scratchSteps(upper.where),
        ...(copying ? copyRoot(prepared.layers) : overlayRoot(prepared.layers, { volatile: upper.onDisk })),
        ...prepared.mounts,
      ],
      ownNetwork: this.options.network !== 'host',
      // The root of a plain copy on a disk is not a separate file system.
      ownFileSystem: copying && upper.onDisk ? '/dev/pts' : '',
      log: this.log,
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
