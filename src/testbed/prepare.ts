/** What all testbeds of one server share: the base, the holder, the skeleton, mounts and network. Made once, ahead of need. */
import { existsSync, readlinkSync, statSync } from 'node:fs';
import { messageOf, TestbedError } from '../errors.ts';
import { makeFolders } from '../folders.ts';
import { mustRunHost } from '../host.ts';
import type { Log } from '../log.ts';
import { Holder } from '../namespaces/holder.ts';
import type { IdMaps } from '../namespaces/idmap.ts';
import type { Connector } from '../network/connector.ts';
import { hostResolver } from '../network/resolver.ts';
import { findBase, useBase } from '../rootfs/base.ts';
import { type CacheFolder, openCache } from '../rootfs/cache.ts';
import type { Base } from '../rootfs/known-base.ts';
import { chooseRoot, type RootChoice, type RootSource } from '../rootfs/source.ts';
import { scriptText } from '../scripts.ts';
import { closedRoot } from './closed-root.ts';
import { bindMount, kernelMounts, type Mount } from './mounts.ts';
import { checkScratchFolder, scratchFolderOf, sweepScratch } from './scratch.ts';
import type { TestbedOptions } from './types.ts';

const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty', 'net/tun'];
/** Account made in a base that has no user of its own with an id from 1000 on. */
const NORMAL_USER = 'user';
/** Symbolic links in /dev that a host mostly has too; on-host/skeleton.sh knows all of them. */
const DEVICE_LINKS = new Map([
  ['fd', '/proc/self/fd'],
  ['stdin', '/proc/self/fd/0'],
  ['stdout', '/proc/self/fd/1'],
  ['stderr', '/proc/self/fd/2'],
]);
/** Where the stage has it, see on-host/stage.sh. */
const SKELETON = '/mnt/skeleton';

export interface Prepared {
  /** Path of the tarball or folder. */
  readonly root: string;
  readonly holder: Holder;
  readonly base: Base;
  /** Where upper layers on disk go. */
  readonly scratchFolder: string;
  readonly layers: readonly string[];
  readonly mounts: readonly Mount[];
  /** Resolves when the skeleton is filled: until then, no testbed may mount its root. Rejects with a TestbedError. */
  readonly filled: Promise<Skeleton>;
  readonly connector: Connector;
}

/** What the skeleton knows of the base. */
export interface Skeleton {
  readonly normalUser: string | undefined;
  /** Of the binds, links in them resolved. */
  readonly mountPoints: readonly string[];
}

/** What to prepare, and what its owner has already chosen. */
export interface Preparation {
  readonly options: TestbedOptions;
  readonly idMaps: IdMaps;
  readonly hostname: string;
  /** Path in every testbed. */
  readonly scratchDirectory: string;
  readonly log: Log;
  /** Gives up the building or unpacking of a root filesystem. */
  readonly signal: AbortSignal;
}

/**
 * Starts the holder, provides the base and begins to fill the skeleton.
 * @throws TestbedError, and then nothing of it is left
 */
export async function prepare(preparation: Preparation): Promise<Prepared> {
  const { options, idMaps, log, signal } = preparation;
  const cache = openCache(process.env);
  const scratchFolder = prepareScratchFolder(options, cache.path);
  checkScratchFolder(scratchFolder, idMaps.single);
  const connector = await connectorFor(options, log);
  const source = await sourceOf(chooseRoot(options.root, process.env), cache, log, signal);
  const sources = [
    cache.bases,
    scratchFolder,
    ...(source.kind === 'directory' ? [source.path] : []),
    ...options.binds.map((bind) => bind.outside),
  ];
  let finding: ReturnType<typeof findBase> | undefined;
  const find = (): void => {
    finding = findBase(source, idMaps.key, cache);
    // Whoever waits for it hears of it.
    finding.catch(() => {});
  };
  let holder: Holder;
  try {
    holder = await Holder.start(idMaps, sources, log, connector.below, find);
  } catch (error) {
    await finding?.then((base) => base?.release()).catch(() => {});
    throw error;
  }
  try {
    const [base] = await Promise.all([
      useBase(source, holder, cache, log, signal, finding),
      sweepScratch(scratchFolder, holder, log),
    ]);
    const baseInside = holder.inside(base.path);
    const filled = fillSkeleton(preparation, holder, base.path, connector);
    // Whoever waits for it hears of it.
    filled.catch(() => {});
    const mountPoints = options.binds.length > 0 ? (await filled).mountPoints : [];
    return {
      root: source.path,
      holder,
      base,
      scratchFolder,
      layers: [SKELETON, baseInside],
      mounts: mountsOf(preparation, holder, mountPoints),
      filled,
      connector,
    };
  } catch (error) {
    await holder.stop();
    throw error;
  }
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

function prepareScratchFolder({ scratch }: TestbedOptions, cache: string): string {
  if (scratch.kind !== 'directory') return scratchFolderOf(cache);
  if (scratch.create === true) makeScratch(scratch.path);
  return scratch.path;
}

/** Everything that is mounted into each testbed, in this order. @param mountPoints of the binds, links in them resolved */
function mountsOf({ options, idMaps }: Preparation, holder: Holder, mountPoints: readonly string[]): Mount[] {
  return [
    ...kernelMounts({
      ownNetwork: options.network !== 'host',
      devices: DEVICES.filter((name) => existsSync(`/dev/${name}`)),
      ptsGroup: idMaps.single ? undefined : 5,
    }),
    ...options.binds.map((bind, index) =>
      bindMount(holder.inside(bind.outside), mountPoints[index] ?? bind.inside, bind.readOnly),
    ),
  ];
}

/** Fills the lower layer that lies over the base: accounts, names, mount points, the scratch directory. */
async function fillSkeleton(
  { options, idMaps, hostname, scratchDirectory, log }: Preparation,
  holder: Holder,
  root: string,
  connector: Connector,
): Promise<Skeleton> {
  const text = await mustRunHost(
    holder.enter([
      ...(['sh', '-c', scriptText('on-host', 'skeleton.sh'), 'skeleton'] as const),
      ...[holder.inside(root), SKELETON, scratchDirectory, hostname],
      ...[connector.hosts ?? `127.0.1.1 ${hostname}`, connector.resolvConf],
      ...[idMaps.single ? '' : NORMAL_USER, hostLinks()],
      ...options.binds.flatMap((bind) => [bind.inside, kindOf(bind.outside)]),
    ]),
    log,
    'preparing the skeleton of the testbeds',
  );
  const [, closed] = /^closed (.*)\n/.exec(text) ?? [];
  if (closed !== undefined) throw closedRoot(root, closed);
  const [user = '', ...mountPoints] = text.trimEnd().split('\n');
  return { normalUser: user.slice('user '.length) || undefined, mountPoints };
}

/** Those that the host has with the same content, each behind a space. */
function hostLinks(): string {
  const same = [...DEVICE_LINKS].filter(([name, content]) => {
    try {
      return readlinkSync(`/dev/${name}`) === content;
    } catch {
      return false;
    }
  });
  return same.map(([name]) => ` ${name}`).join('');
}

function makeScratch(path: string): void {
  try {
    makeFolders(path);
  } catch (cause) {
    throw new TestbedError(`cannot make the scratch: ${messageOf(cause)}; name another place`, { cause });
  }
}

/** How the testbed is connected, and what name resolution that gives it. */
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
    throw new TestbedError(`cannot bind ${path} into the testbed: it does not exist`, { cause });
  }
}
