/** Makes an image of what was written in a testbed: layers over what the testbed was opened from, and a record that names them. */
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TestbedError, UsageError } from '../errors.ts';
import { failureText, helperWords, isFailure, parseEvent } from '../helper.ts';
import { spawnHost } from '../host.ts';
import type { Log } from '../log.ts';
import { option } from '../option-words.ts';
import { membersOf, namespaceOf, signalProcess, treeOf } from '../processes/list.ts';
import { startProgress } from '../progress-line.ts';
import { scarceRemedy } from '../scarce.ts';
import { writeWhole } from './cache.ts';
import { type ImageRecord, recordPath } from './committed.ts';
import { lockImage } from './images.ts';
import { type Base, inUse } from './known-base.ts';
import { type LayerPlace, type PlacedLayer, placeLayer } from './layers.ts';
import { pruneLayers, withLayerLock } from './prune.ts';
import { isBase, readRecord } from './record.ts';
import { newestTarball, TARBALL_NAME } from './source.ts';
import { removeUser } from './users.ts';

export interface CommitOrder extends LayerPlace, Pick<ImageRecord, 'command' | 'recipe'> {
  /** NAME-ARCH. */
  readonly name: string;
  /** Keys of what the testbed was opened from, topmost first. */
  readonly keys: readonly string[];
  /** The upper layer and the frozen layers below it, as the holder sees them, topmost first. */
  readonly uppers: readonly string[];
  readonly binds: readonly string[];
  /** What the testbed was opened from, for `rootfs list`. */
  readonly root: string;
  /** Pid 1, whose processes are stopped meanwhile. */
  readonly pid: number;
  /** It is an init of the root filesystem, and stopped too. */
  readonly hasInit: boolean;
}

/** Milliseconds. */
const PATIENCE = 1_000;

/** @throws UsageError when the name cannot be used */
export function checkImageName(images: string, name: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9+._-]{0,199}$/.test(name)) {
    throw new UsageError(`${name} cannot be the name of an image`, {
      code: 'WRONG_NAME',
      remedy: 'give a name of letters, digits and hyphens, up to 200',
    });
  }
  const path = newestTarball(images, name);
  if (path !== undefined) {
    throw new UsageError(`the image ${name} is a tarball that was built or imported`, {
      code: 'NAME_TAKEN',
      remedy: `give another name, or call rootfs remove ${name} first`,
    });
  }
}

/** Gives the path of the record. Replaces a committed image of that name. @throws UsageError, TestbedError */
export async function commitImage(order: CommitOrder): Promise<string> {
  const { name, keys, cache, holder, log } = order;
  checkImageName(cache.images, name);
  if (keys.length === 0) {
    throw new UsageError(`a testbed over the directory ${order.root} cannot become an image`, {
      code: 'NO_PARENT',
      remedy: `call rootfs import ${order.root} NAME, and open a testbed by ${option('release', 'NAME')}`,
    });
  }
  const progress = startProgress(`committing ${name}`, { log });
  const below: Base[] = [];
  const placed: PlacedLayer[] = [];
  try {
    for (const key of keys) below.push(mark(order, key));
    const thaw = await freeze(order, log);
    let wereStopped = true;
    try {
      let parent = keys[0] ?? '';
      for (const upper of [...order.uppers].reverse()) {
        const layer = await placeLayer({ upper, parent, binds: order.binds }, order);
        placed.push(layer);
        parent = layer.key;
      }
    } finally {
      wereStopped = await thaw();
    }
    if (!wereStopped) throw ranMeanwhile();
    settle(order);
    const top = placed.at(-1)?.key ?? '';
    const size = placed.reduce((sum, layer) => sum + layer.size, 0);
    const path = recordPath(cache.images, name);
    const write = async () => {
      checkImageName(cache.images, name);
      writeWhole(path, `${JSON.stringify(recordOf(order, top, size))}\n`, { flush: true });
    };
    // An import of that name holds it from its look at committed images to its end.
    const lock = await lockImage(cache, name, log, order.signal);
    try {
      await withLayerLock(cache, log, write, order.signal);
    } finally {
      lock.release();
    }
    return path;
  } finally {
    for (const layer of placed) if (layer.mark !== undefined) removeUser(layer.mark);
    for (const base of below) await base.release();
    progress.done();
    // A caller that has given up does not wait long for another process; the next prune removes them then.
    const limit = order.signal?.aborted === true ? AbortSignal.timeout(PATIENCE) : undefined;
    // Those of an image that was replaced, or of a commit that failed.
    await withLayerLock(cache, log, () => pruneLayers(cache, holder, log), limit).catch(() => {});
  }
}

function mark({ cache, root }: CommitOrder, key: string): Base {
  const base = inUse(cache, key);
  if (base !== undefined) return base;
  throw new TestbedError(`what the testbed was opened from (${root}) was deleted from the cache`, {
    code: 'CACHE_DELETED',
    remedy: 'open another testbed',
  });
}

/** The whole file system was written to disk. */
function settle({ cache, keys }: CommitOrder): void {
  for (const key of keys) writeFileSync(join(cache.bases, key, 'settled'), '');
}

function recordOf(
  { cache, keys, root, command, recipe }: CommitOrder,
  layer: string,
  size: number,
): ImageRecord {
  const base = readRecord(join(cache.bases, keys.at(-1) ?? ''));
  const tarball = base !== undefined && isBase(base) ? base.tarball : '';
  return {
    ...{ layer, parent: nameOfRoot(cache.images, root), tarball, size, made: new Date().toISOString() },
    ...(command === undefined ? {} : { command }),
    ...(recipe === undefined ? {} : { recipe }),
  };
}

/** The name of an image of the cache, else the path. */
export function nameOfRoot(images: string, root: string): string {
  if (!root.startsWith(`${images}/`)) return root;
  const file = root.slice(images.length + 1);
  return TARBALL_NAME.exec(file)?.[1] ?? file.replace(/\.image$/, '');
}

/**
 * Stops the processes of a testbed. They go on when the returned function is called, or this process ends. It gives whether they were
 * stopped until then.
 */
async function freeze(
  { pid, hasInit }: Pick<CommitOrder, 'pid' | 'hasInit'>,
  log: Log,
): Promise<() => Promise<boolean>> {
  const child = await spawnHost(helperWords('freeze', ...(hasInit ? ['-a'] : []), String(pid)), log, {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const { stdin, stdout } = child.child;
  stdin?.on('error', () => {});
  const event = await new Promise<ReturnType<typeof parseEvent>>((resolve) => {
    let text = '';
    stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.includes('\n')) resolve(parseEvent(text.split('\n')[0] ?? ''));
    });
    stdout?.on('close', () => resolve(undefined));
  });
  const thaw = async () => {
    stdin?.end();
    const { status } = await child.exited;
    if (status === 0) return true;
    // A helper that was killed has left them stopped.
    const namespace = namespaceOf(pid, 'pid');
    const inside = namespace === undefined ? [] : [...membersOf('pid', namespace), ...treeOf(pid)];
    for (const each of new Set(inside)) signalProcess(each, 'SIGCONT');
    return false;
  };
  if (event !== undefined && !isFailure(event)) return thaw;
  await thaw();
  const why = event === undefined ? 'the helper was killed' : failureText(event);
  throw new TestbedError(`the processes of the testbed could not be stopped to read its files: ${why}`, {
    code: event === undefined ? 'SETUP_KILLED' : event.code,
    remedy: scarceRemedy(String(event?.errno)) ?? 'try again, or end the processes that do not stop',
  });
}

function ranMeanwhile(): TestbedError {
  return new TestbedError(
    'the helper that keeps the processes of the testbed stopped was killed while their files were read',
    { code: 'SETUP_KILLED', remedy: 'commit again: its files may be of different moments' },
  );
}

/** Gives whether there was one. Its layers are pruned. */
export async function removeCommitted(place: LayerPlace, name: string): Promise<boolean> {
  const { cache, holder, log, signal } = place;
  const path = recordPath(cache.images, name);
  const work = async () => {
    if (statSync(path, { throwIfNoEntry: false }) === undefined) return false;
    rmSync(path);
    await pruneLayers(cache, holder, log);
    return true;
  };
  return withLayerLock(cache, log, work, signal);
}
