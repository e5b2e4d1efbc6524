/** What all testbeds of one server share: id maps, stage and holder, the base and the skeleton. Made once, ahead of need. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { codeOf, messageOf, TestbedError } from '../errors.ts';
import { mustRunHost } from '../host.ts';
import type { Log } from '../log.ts';
import { readCaller } from '../namespaces/caller.ts';
import { Holder } from '../namespaces/holder.ts';
import { chooseIdMaps, type IdMaps } from '../namespaces/idmap.ts';
import { Instance } from '../namespaces/instance.ts';
import type { Connection, Connector } from '../network/connector.ts';
import { outsideConnector } from '../network/outside.ts';
import { hostResolver } from '../network/resolver.ts';
import { register } from '../registry.ts';
import { type Base, useBase } from '../rootfs/base.ts';
import { provideRoot } from '../rootfs/build.ts';
import { openCache } from '../rootfs/cache.ts';
import { chooseRoot } from '../rootfs/source.ts';
import { scriptText } from '../scripts.ts';
import { type Baseline, readBaseline } from './baseline.ts';
import type { Leak } from './leaks.ts';
import { bindMount, copyRoot, fstab, kernelMounts, type Mount, overlayRoot } from './mounts.ts';
import {
  checkScratchFolder,
  chooseScratch,
  diskUpper,
  memoryUpper,
  scratchFolderOf,
  sweepScratch,
  type Upper,
} from './scratch.ts';
import { Testbed } from './testbed.ts';
import type { OpenTestbed, TestbedOptions, TestbedProvider } from './types.ts';

const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty', 'net/tun'];
/** Account made in a base that has no user of its own with an id from 1000 on. */
const NORMAL_USER = 'user';

interface Prepared {
  /** Path of the tarball or folder. */
  readonly root: string;
  readonly holder: Holder;
  readonly base: Base;
  /** Where upper layers on disk go. */
  readonly scratchFolder: string;
  readonly layers: readonly string[];
  readonly mounts: readonly Mount[];
  readonly normalUser: string | undefined;
  readonly connector: Connector;
}

/** A running set of namespaces with its upper layer and its network: all that one open or revert makes. */
export class Incarnation {
  readonly instance: Instance;
  readonly connection: Connection | undefined;
  readonly baseline: Baseline;
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
    strike: () => void,
  ) {
    this.baseline = baseline;
    this.#strike = strike;
    this.ended = new Promise((resolve) => {
      this.#tellEnded = resolve;
    });
    this.instance = instance;
    this.connection = connection;
    this.#upper = upper;
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
      // Even when somebody still has a file of it open: then at least the disk is free again.
      () => this.#upper.remove(),
    ];
    const failures: unknown[] = [];
    for (const step of steps) await step().catch((error: unknown) => failures.push(error));
    this.#tellEnded();
    if (failures.length > 0) throw failures[0];
  }
}

export class Provider implements TestbedProvider {
  readonly options: TestbedOptions;
  readonly log: Log;
  readonly hostname: string;
  readonly scratchDirectory = `/tmp/autopkgtest-virt.${randomBytes(4).toString('hex')}`;
  readonly #idMap: IdMaps;
  #prepared: Promise<Prepared> | undefined;
  #scratch: ReturnType<typeof chooseScratch> | undefined;
  /** Those that are being made too: a dispose in the middle of an open or revert has to end what comes of it. */
  readonly #incarnations = new Set<Promise<Incarnation>>();
  readonly #ending = new AbortController();

  constructor(options: TestbedOptions, log: Log) {
    this.options = options;
    this.log = log;
    this.hostname = options.hostname ?? `testbed-${randomBytes(3).toString('hex')}`;
    this.#idMap = chooseIdMaps(readCaller());
  }

  /** Starts what an open needs; a failure is told by the open. */
  warm(): void {
    this.#prepare().catch(() => {});
  }

  async normalUser(): Promise<string | undefined> {
    return (await this.#prepare()).normalUser;
  }

  open(): Promise<OpenTestbed> {
    return Testbed.open(this);
  }

  async dispose(): Promise<void> {
    // The building or unpacking of a root filesystem is given up.
    this.#ending.abort(new TestbedError('the server is ending'));
    const made = await Promise.allSettled(this.#incarnations);
    const ends = await Promise.allSettled(
      made.map((each) => (each.status === 'fulfilled' ? each.value.end() : undefined)),
    );
    const prepared = await this.#prepared?.catch(() => undefined);
    this.#prepared = undefined;
    await prepared?.base.release();
    await prepared?.holder.stop();
    if (typeof this.options.network === 'object') this.options.network.release?.();
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  /** Makes fresh namespaces over a fresh upper layer, and connects them. */
  incarnate(): Promise<Incarnation> {
    const making = this.#incarnate();
    this.#incarnations.add(making);
    const forget = () => void this.#incarnations.delete(making);
    making.then((made) => made.ended.then(forget), forget);
    return making;
  }

  async #incarnate(): Promise<Incarnation> {
    const prepared = await this.#prepare();
    this.#ending.signal.throwIfAborted();
    const { instance, upper } = await this.#startOver(prepared);
    try {
      const connection = await prepared.connector.connect?.(prepared.holder, instance.pid);
      const baseline = readBaseline(instance.pid, this.options.network !== 'host');
      return new Incarnation(instance, upper, connection, baseline, this.#register(prepared, instance));
    } catch (error) {
      await instance.stop().finally(() => upper.remove());
      throw error;
    }
  }

  /** For `ps` and `exec`. That they cannot see it is no reason not to open it. */
  #register({ root }: Prepared, { pid, startTime }: Instance): () => void {
    const scratch = this.#scratch?.kind === 'directory' ? this.#scratch.path : '';
    const entry = {
      ...{ pid, startTime, name: this.hostname, since: Date.now(), root, scratch },
      ...{ ownNetwork: this.options.network !== 'host', owner: process.pid },
    };
    try {
      return register(entry, process.env);
    } catch (error) {
      this.log.debug(`ps and exec will not see the testbed: ${messageOf(error)}`);
      return () => {};
    }
  }

  /** What is there in an incarnation that was not when it was made. */
  async leaks({ instance, baseline }: Incarnation): Promise<Leak[]> {
    const { findLeaks } = await import('./leaks.ts');
    const { holder, layers } = await this.#prepare();
    const { scratchDirectory } = this;
    return findLeaks({ holder, pid: instance.pid, layers, scratchDirectory, baseline }, this.log);
  }

  async #startOver(prepared: Prepared): Promise<{ instance: Instance; upper: Upper }> {
    this.#scratch ??= chooseScratch(this.options.scratch, prepared.scratchFolder);
    if (this.#scratch.kind === 'tmpfs') {
      const upper = memoryUpper(this.#scratch.size);
      try {
        return { instance: await this.#start(prepared, upper), upper };
      } catch (error) {
        if (this.options.scratch.kind !== 'auto') throw error;
        // Before Linux 6.6 a tmpfs has no user xattrs, so it cannot be an upper layer in a user namespace.
        this.log.debug(`no upper layer in memory (${String(error)}); taking a folder of the cache`);
        this.#scratch = { kind: 'directory', path: prepared.scratchFolder };
      }
    }
    const upper = diskUpper(this.#scratch.path, prepared.holder, this.log);
    try {
      return { instance: await this.#start(prepared, upper), upper };
    } catch (error) {
      await upper.remove().catch(() => {});
      throw error;
    }
  }

  #start(prepared: Prepared, upper: Upper): Promise<Instance> {
    const copying = this.options.mode === 'copy';
    const root = copying ? copyRoot() : overlayRoot(prepared.layers, upper.onDisk);
    return Instance.start(
      prepared.holder,
      {
        hostname: this.hostname,
        upper: upper.where,
        fstab: fstab([root, ...prepared.mounts]),
        ownNetwork: this.options.network !== 'host',
        copy: copying ? [...prepared.layers].reverse() : [],
      },
      this.log,
    );
  }

  #prepare(): Promise<Prepared> {
    this.#prepared ??= this.#makePrepared();
    return this.#prepared;
  }

  async #makePrepared(): Promise<Prepared> {
    const { options, log } = this;
    const cache = openCache(process.env);
    const scratchFolder =
      options.scratch.kind === 'directory' ? options.scratch.path : scratchFolderOf(cache.path);
    if (options.scratch.kind === 'directory' && options.scratch.create === true) {
      makeFolder(scratchFolder);
    }
    if (!this.#idMap.single) checkScratchFolder(scratchFolder);
    const connector = connectorFor(options, log);
    const { signal } = this.#ending;
    const source = await provideRoot(chooseRoot(options.root, process.env), cache, log, signal);
    const sources = [
      cache.bases,
      scratchFolder,
      ...(source.kind === 'directory' ? [source.path] : []),
      ...options.binds.map((bind) => bind.outside),
    ];
    const holder = await Holder.start(this.#idMap, sources, log, connector.below);
    try {
      const [base] = await Promise.all([
        useBase(source, holder, cache, log, signal),
        sweepScratch(scratchFolder, holder, log),
      ]);
      const baseInside = holder.inside(base.path);
      const { normalUser, mountPoints } = await this.#fillSkeleton(holder, baseInside, connector);
      const mounts = [
        ...kernelMounts({
          ownNetwork: options.network !== 'host',
          devices: DEVICES.filter((name) => existsSync(`/dev/${name}`)),
          ptsGroup: this.#idMap.single ? undefined : 5,
        }),
        ...options.binds.map((bind, index) =>
          bindMount(holder.inside(bind.outside), mountPoints[index] ?? bind.inside),
        ),
      ];
      return {
        root: source.path,
        holder,
        base,
        scratchFolder,
        layers: ['/mnt/skeleton', baseInside],
        mounts,
        normalUser,
        connector,
      };
    } catch (error) {
      await holder.stop();
      throw error;
    }
  }

  async #fillSkeleton(
    holder: Holder,
    base: string,
    connector: Connector,
  ): Promise<{ normalUser: string | undefined; mountPoints: string[] }> {
    const { options, log } = this;
    const text = await mustRunHost(
      holder.enter([
        ...(['sh', '-c', scriptText('on-host', 'skeleton.sh'), 'skeleton'] as const),
        ...[base, '/mnt/skeleton', this.scratchDirectory, this.hostname],
        ...[connector.hosts ?? `127.0.1.1 ${this.hostname}`, connector.resolvConf],
        this.#idMap.single ? '' : NORMAL_USER,
        ...options.binds.flatMap((bind) => [bind.inside, kindOf(bind.outside)]),
      ]),
      log,
      'preparing the skeleton of the testbeds',
    );
    const [user = '', ...mountPoints] = text.trimEnd().split('\n');
    return { normalUser: user.slice('user '.length) || undefined, mountPoints };
  }
}

/** With its parents. One by one: Node's own recursive mkdir never returns below /proc, where nothing can be made. */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (cause) {
    // Another server may have made it meanwhile.
    if (codeOf(cause) === 'EEXIST') return;
    throw new TestbedError(`cannot make the scratch: ${messageOf(cause)}; name another place`, { cause });
  }
}

/** How the testbed is connected, and what name resolution that gives it. */
function connectorFor({ network, publish }: TestbedOptions, log: Log): Connector {
  if (typeof network === 'object') return network;
  switch (network) {
    case 'host':
      return { resolvConf: hostResolver(), connect: undefined };
    case 'none':
      return { resolvConf: '', connect: undefined };
    case 'private':
      return outsideConnector({ publish }, log);
  }
}

function kindOf(path: string): 'directory' | 'file' {
  try {
    return statSync(path).isDirectory() ? 'directory' : 'file';
  } catch (cause) {
    throw new TestbedError(`cannot bind ${path} into the testbed: it does not exist`, { cause });
  }
}
