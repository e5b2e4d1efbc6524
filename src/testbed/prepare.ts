/** What all testbeds of a server share: base, holder, skeleton, mounts and network. */
import { existsSync, statSync } from 'node:fs';
import { messageOf, TestbedError, UsageError } from '../errors.ts';
import { failureText } from '../helper.ts';
import type { Log } from '../log.ts';
import { emulate } from '../namespaces/emulation.ts';
import type { Holder } from '../namespaces/holder.ts';
import type { IdMaps } from '../namespaces/idmap.ts';
import type { Machine } from '../namespaces/machines.ts';
import { isProcMasked } from '../namespaces/masks.ts';
import { bind, mount, place, root, type Step } from '../namespaces/steps.ts';
import type { Connector } from '../network/connector.ts';
import { hostResolver } from '../network/resolver.ts';
import { architectureOf, checkArchitecture } from '../rootfs/architecture.ts';
import { findBase, useBase } from '../rootfs/base.ts';
import type { CacheFolder } from '../rootfs/cache.ts';
import type { Base } from '../rootfs/known-base.ts';
import { hostArchitecture } from '../rootfs/release.ts';
import { chooseRoot, type RootChoice, type RootSource } from '../rootfs/source.ts';
import { DEVICES } from './devices.ts';
import { type Holding, hold, preparePlaces } from './holding.ts';
import type { Init } from './init.ts';
import type { InitChoice } from './init-choice.ts';
import { memoryFor, memoryShares } from './limits.ts';
import { checkLayers, kernelMounts, shortLayers } from './mounts.ts';
import { sweepScratch } from './scratch.ts';
import { type Filled, fillSkeleton, SKELETON } from './skeleton.ts';
import type { TestbedOptions } from './types.ts';

export interface Prepared {
  readonly root: string;
  readonly holder: Holder;
  readonly base: Base;
  readonly cache: CacheFolder;
  readonly scratchFolder: string;
  readonly layers: readonly string[];
  readonly mounts: (bootId: string, init: Init | undefined) => readonly Step[];
  /** Resolves when the skeleton is filled; only then may a testbed mount its root. */
  readonly filled: Promise<Filled>;
  readonly connector: Connector;
}

interface Preparation {
  readonly options: TestbedOptions;
  readonly idMaps: IdMaps;
  readonly hostname: string;
  readonly scratchDirectory: string;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly early: Holding | undefined;
}

export async function prepare(preparation: Preparation): Promise<Prepared> {
  const { options, idMaps, hostname, scratchDirectory, log, signal, early } = preparation;
  let connector: Connector;
  let holding: Holding;
  try {
    connector = await connectorFor(options, log);
    holding = early ?? (await holdLate(preparation, connector));
  } catch (error) {
    await early?.holder.then((holder) => holder.stop()).catch(() => {});
    throw error;
  }
  const { cache, scratchFolder, source } = holding;
  const finding = findBase(source, idMaps.key, cache);
  finding.catch(() => {});
  let holder: Holder;
  signal.addEventListener('abort', holding.abandon);
  if (signal.aborted) holding.abandon();
  try {
    holder = await holding.holder;
  } catch (error) {
    await finding.then((base) => base?.release()).catch(() => {});
    throw error;
  } finally {
    signal.removeEventListener('abort', holding.abandon);
  }
  const using = useBase(source, holder, cache, log, signal, finding);
  try {
    const [base] = await Promise.all([using, sweepScratch(scratchFolder, holder, log)]);
    const machine = await executePrograms(base, { source, holder, arch: options.root.arch });
    const { paths: layers, steps } = shortLayers(base.layers.map((path) => holder.inside(path)));
    checkLayers([SKELETON, ...layers, '/mnt/layers/1/upper']);
    if (steps.length > 0) await bindLayers(holder, steps);
    const ownProc = await canMountProc(holder, log);
    const filled = fillSkeleton({
      ...{
        holder,
        base: base.path,
        layers,
        hostname,
        scratchDirectory,
        ownNetwork: options.network !== 'host',
        init: initChoice(options, holder, ownProc),
      },
      ...{ hosts: connector.hosts ?? `127.0.1.1 ${hostname}`, resolvConf: connector.resolvConf },
    });
    filled.catch(() => {});
    return {
      root: source.path,
      holder,
      base,
      cache,
      scratchFolder,
      layers: [SKELETON, ...layers],
      mounts: mountsOf(preparation, { holder, ownProc, machine }),
      filled,
      connector,
    };
  } catch (error) {
    // First, because it waits for what still uses the holder.
    await using.then((base) => base.release()).catch(() => {});
    await holder.stop().catch((left: unknown) => log.warn(messageOf(left)));
    throw error;
  }
}

/** @throws TestbedError where no init can be pid 1, unless the choice is `auto` */
function initChoice({ init }: TestbedOptions, holder: Holder, ownProc: boolean): InitChoice | undefined {
  if (init === undefined) return undefined;
  const what = !ownProc
    ? { why: 'a /proc of its own', code: 'NO_PROC', remedy: 'virt-ts-unshare doctor names what covers /proc' }
    : holder.idMap.single
      ? {
          why: 'more ids than one',
          code: 'NO_IDS',
          remedy: 'on the host, give its caller ranges in /etc/subuid and /etc/subgid',
        }
      : undefined;
  if (what === undefined) return holder.groups === undefined ? undefined : init;
  if (init === 'auto') return undefined;
  const { why, code, remedy } = what;
  throw new TestbedError(`an init of the testbed's own needs ${why}`, { code, remedy });
}

async function bindLayers(holder: Holder, steps: readonly Step[]): Promise<void> {
  const run = holder.run('', steps);
  if ((await run.ended) === 0) return;
  const why = run.failure === undefined ? 'its process was killed' : failureText(run.failure);
  throw new TestbedError(`binding the layers of the image failed: ${why}`, {
    code: run.failure?.code ?? 'SETUP_KILLED',
  });
}

async function holdLate(preparation: Preparation, { below }: Connector): Promise<Holding> {
  const { options, idMaps, log, signal } = preparation;
  const places = preparePlaces({ options, idMaps });
  const source = await sourceOf(chooseRoot(options.root, process.env), places.cache, log, signal);
  return hold(source, places, { options, idMaps, log, below });
}

async function sourceOf(
  choice: RootChoice,
  cache: CacheFolder,
  log: Log,
  signal: AbortSignal,
): Promise<RootSource> {
  if (choice.kind !== 'build') return choice;
  const { provideRoot } = await import('../rootfs/build.ts');
  return provideRoot(choice, cache, log, signal);
}

/** Another architecture is executed by qemu, from pid 1 on. */
async function executePrograms(
  base: Base,
  { source, holder, arch }: { source: RootSource; holder: Holder; arch: string | undefined },
): Promise<Machine | undefined> {
  const [machine] = base.layers.flatMap((layer) => architectureOf(layer) ?? []);
  checkArchitecture(machine, arch, source.path);
  if (machine !== undefined) await emulate(holder, machine, hostArchitecture());
  return machine;
}

/** Not in most containers. What the testbed then has is less than its own, but enough for most tests. */
async function canMountProc(holder: Holder, log: Log): Promise<boolean> {
  if (!isProcMasked()) return true;
  const run = holder.run('mp', [root('/'), mount('proc', '/mnt/root', 'nosuid,nodev,noexec')]);
  if ((await run.ended) === 0) return true;
  log.warn(
    'parts of /proc are covered on this machine, so the testbed has no /proc of its own and sees the pids of this machine; virt-ts-unshare doctor names the remedy',
  );
  return false;
}

function mountsOf(
  { options, idMaps }: Preparation,
  { holder, ownProc, machine }: { holder: Holder; ownProc: boolean; machine: Machine | undefined },
): Prepared['mounts'] {
  const host = hostArchitecture();
  const kernel = {
    ownNetwork: options.network !== 'host',
    devices: DEVICES.filter((name) => existsSync(`/dev/${name}`)),
    ptsGroup: idMaps.single ? undefined : 5,
    ownProc,
    records: machine?.name === host || (machine?.name === 'i386' && host === 'amd64'),
    ...memoryShares(memoryFor(options.maxMemory)),
  };
  const binds = options.binds.flatMap(({ outside, inside, readOnly }) => [
    place(inside, kindOf(outside)),
    bind(holder.inside(outside), inside, readOnly === true ? 'ro' : 'rw'),
  ]);
  return (bootId, init) => [...kernelMounts({ ...kernel, bootId, init }), ...binds];
}

async function connectorFor({ network, publish }: TestbedOptions, log: Log): Promise<Connector> {
  if (typeof network === 'object') return network;
  switch (network) {
    case 'host':
      return { resolvConf: hostResolver(), connect: undefined };
    case 'none':
      return { resolvConf: '', connect: undefined };
    case 'private': {
      const { outsideConnector } = await import('../network/outside.ts');
      return outsideConnector({ publish }, log);
    }
  }
}

function kindOf(path: string): 'directory' | 'file' {
  try {
    return statSync(path).isDirectory() ? 'directory' : 'file';
  } catch (cause) {
    throw new UsageError(`cannot bind ${path} into the testbed: it does not exist`, {
      code: 'NO_SUCH_FILE',
      remedy: 'name a file or directory of the host',
      cause,
    });
  }
}
