/**
 * The layers of an image as one tarball. They are read twice: first only the headers, which tell what is left at the end, and all
 * digests; then the content of what is left. Nothing is unpacked, so no name of the image is used on this machine.
 */

import { createWriteStream, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { TarWriter } from '../../archive/tar-writer.ts';
import { messageOf, systemCodeOf, TestbedError } from '../../errors.ts';
import { briefWords, spawnHost, textOf } from '../../host.ts';
import type { Log } from '../../log.ts';
import { findProgram } from '../../processes/find.ts';
import { startProgress } from '../../progress-line.ts';
import { roomIn } from '../../wait.ts';
import { cacheFullRemedy } from '../cache-failure.ts';
import { badImage } from './bad-image.ts';
import { type ChosenImage, showNames } from './choose.ts';
import { mergeEnvironment } from './environment.ts';
import type { ImageFiles } from './files.ts';
import { keptAttributes, planTree, whyNoProgram } from './plan.ts';
import { readLayer, showLayer } from './read-layer.ts';
import { type Inode, LayerTree } from './tree.ts';

interface Job {
  readonly files: ImageFiles;
  readonly log: Log;
  readonly signal: AbortSignal | undefined;
  readonly maxBytes?: number | undefined;
}

/** As of a copy out of a testbed. */
export const MAX_BYTES = 64 * 2 ** 30;
const ENVIRONMENT = 'etc/environment';
const LARGEST_ENVIRONMENT = 64 * 1024;

/** @param stem the path without its ending, which is the result. @throws UsageError, TestbedError */
export async function flatten(image: ChosenImage, stem: string, lock: number, job: Job): Promise<string> {
  const { tree, environment } = await readHeaders(image, job);
  const why = whyNoProgram(tree, '/bin/sh');
  if (why !== undefined) {
    throw badImage(`the image is not a root filesystem for a testbed: ${why}`, {
      code: 'NO_ROOT_FILESYSTEM',
      remedy: 'use an image with a shell',
    });
  }
  const text = environmentOf(image, tree, environment, job.log);
  const own = text === undefined ? undefined : tree.replace(ENVIRONMENT, text.length);
  const plan = planTree(tree);
  checkRoom(stem, plan.size);
  const output = await openOutput(stem, lock, job.log);
  const writer = new TarWriter('pax', (bytes) => void output.stream.write(bytes));
  const progress = startProgress('writing the layers as one image', { log: job.log });
  try {
    for (const entry of plan.first) {
      writer.entry(entry);
      await output.room();
    }
    for (const [at, layer] of image.layers.entries()) {
      const wanted = plan.files.get(at + 1);
      if (wanted === undefined) continue;
      let position = -1;
      let writing = false;
      const sink = {
        entry(entry: Inode['entry']) {
          position += 1;
          const path = wanted.get(position);
          writing = path !== undefined;
          if (path !== undefined) writer.entry({ ...entry, path, attributes: keptAttributes(entry) });
        },
        data(bytes: Buffer) {
          if (writing) writer.data(bytes);
        },
        room: output.room,
      };
      await readLayer(showLayer(at + 1, layer), layer, sink, job);
    }
    if (own !== undefined && text !== undefined) {
      writer.entry({ ...own.entry, path: `./${ENVIRONMENT}` });
      writer.data(text);
    }
    for (const entry of plan.links) {
      writer.entry(entry);
      await output.room();
    }
    writer.end();
    await output.end();
    return output.ending;
  } catch (error) {
    output.stop();
    throw error;
  } finally {
    progress.done();
  }
}

/** Of the last /etc/environment. */
interface Environment {
  readonly inode: Inode;
  readonly content: Buffer[];
}

async function readHeaders(
  image: ChosenImage,
  job: Job,
): Promise<{ tree: LayerTree; environment: Environment | undefined }> {
  const tree = new LayerTree({ maxBytes: job.maxBytes ?? MAX_BYTES });
  let environment: Environment | undefined;
  const progress = startProgress('reading the layers of the image', { log: job.log });
  try {
    for (const [at, layer] of image.layers.entries()) {
      tree.beginLayer();
      const what = showLayer(at + 1, layer);
      let kept: Buffer[] | undefined;
      await readLayer(
        what,
        layer,
        {
          entry(entry) {
            kept = undefined;
            const inode = tree.add(entry);
            if (inode === undefined || tree.find(ENVIRONMENT)?.inode !== inode) return;
            if (entry.kind !== 'file' || entry.size > LARGEST_ENVIRONMENT) return;
            kept = [];
            environment = { inode, content: kept };
          },
          data: (bytes) => void kept?.push(Buffer.from(bytes)),
        },
        job,
      );
    }
  } finally {
    progress.done();
  }
  return { tree, environment };
}

/** The content of /etc/environment; undefined where it stays as it is. */
function environmentOf(
  image: ChosenImage,
  tree: LayerTree,
  last: Environment | undefined,
  log: Log,
): Buffer | undefined {
  const there = tree.find(ENVIRONMENT)?.inode;
  const content = there === undefined ? [] : last?.inode === there ? last.content : undefined;
  const parent = tree.find('etc');
  if (content === undefined || (parent !== undefined && parent.children === undefined)) {
    log.warn(
      `the environment of the image is left out, because its /${ENVIRONMENT} is not a file that can be changed`,
    );
    return undefined;
  }
  const merged = mergeEnvironment(Buffer.concat(content).toString('latin1'), [
    ...image.environment.map((each) => Buffer.from(each).toString('latin1')),
  ]);
  if (merged === undefined) return undefined;
  if (merged.skipped.length > 0) {
    log.warn(
      `variables of the image that /${ENVIRONMENT} cannot have are left out: ${showNames(merged.skipped)}`,
    );
  }
  return Buffer.from(merged.text, 'latin1');
}

function checkRoom(stem: string, size: number): void {
  const { bavail, bsize } = statfsSync(dirname(stem));
  // What zstd makes of it is not known; a root filesystem becomes a third.
  if (size / 4 <= bavail * bsize) return;
  throw new TestbedError(`the image has ${size} bytes of files, and the cache has no room for them`, {
    code: 'CACHE_FULL',
    remedy: cacheFullRemedy(stem),
  });
}

interface Output {
  readonly ending: string;
  readonly stream: Writable;
  readonly room: () => Promise<void> | undefined;
  end(): Promise<void>;
  stop(): void;
}

async function openOutput(stem: string, lock: number, log: Log): Promise<Output> {
  if (findProgram('zstd') === undefined) {
    const path = `${stem}.tar`;
    const stream = createWriteStream(path, { mode: 0o600 });
    stream.on('error', () => {});
    return {
      ...{ ending: 'tar', stream },
      room: () => {
        if (stream.errored) throw cannotWrite(path, stream.errored);
        return roomIn(stream);
      },
      end: () => {
        stream.end();
        return finished(stream).catch((error: unknown) => Promise.reject(cannotWrite(path, error)));
      },
      stop: () => stream.destroy(),
    };
  }
  const path = `${stem}.tar.zst`;
  const zstd = await spawnHost(['zstd', '-T0', '-q', '-o', path], log, {
    stdio: ['pipe', 'ignore', 'pipe', lock],
  });
  const { stdin } = zstd.child;
  const words = textOf(zstd.child.stderr);
  if (stdin === null) throw new TestbedError('internal: a pipe is missing', { code: 'INTERNAL' });
  stdin.on('error', () => {});
  const ended = async (): Promise<void> => {
    const { status } = await zstd.exited;
    if (status !== 0)
      throw cannotWrite(path, new Error(briefWords(await words) || `zstd ended with status ${status}`));
  };
  return {
    ...{ ending: 'tar.zst', stream: stdin },
    room: () => (stdin.destroyed ? ended() : roomIn(stdin)),
    end: () => {
      stdin.end();
      return ended();
    },
    stop: () => {
      zstd.kill('SIGKILL');
      stdin.destroy();
    },
  };
}

function cannotWrite(path: string, error: unknown): TestbedError {
  const words = messageOf(error);
  const full = ['ENOSPC', 'EDQUOT'].includes(systemCodeOf(error) ?? '') || /No space left|quota/i.test(words);
  return new TestbedError(`writing ${path} failed: ${words}`, {
    code: full ? 'CACHE_FULL' : 'IMPORT_FAILED',
    remedy: full ? cacheFullRemedy(path) : 'make the cache writable',
    cause: error,
  });
}
