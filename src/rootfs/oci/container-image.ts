/** What docker save, podman save, skopeo and umoci write: recognized, opened, and imported as one tarball. */
import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  openSync,
  readSync,
  statSync,
} from 'node:fs';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { reasonOf, TestbedError, UsageError } from '../../errors.ts';
import { spawnHost } from '../../host.ts';
import type { Log } from '../../log.ts';
import { cacheFullRemedy } from '../cache-failure.ts';
import { chooseDecompressor, compressionOf, HEADER_SIZE } from '../compression.ts';
import { badImage } from './bad-image.ts';
import { chooseImage } from './choose.ts';
import { archiveFiles, directoryFiles, firstName, type ImageFiles } from './files.ts';
import { flatten, MAX_BYTES } from './flatten.ts';

export interface ContainerImage {
  readonly path: string;
  readonly tag: string | undefined;
}

/** Undefined when the path is of something else, or of nothing. A tag may be behind it, as for skopeo and umoci. */
export async function findContainerImage(given: string, log: Log): Promise<ContainerImage | undefined> {
  const path = resolve(given);
  if (existsSync(path)) return (await isContainerImage(path, log)) ? { path, tag: undefined } : undefined;
  for (let at = path.indexOf(':'); at !== -1; at = path.indexOf(':', at + 1)) {
    const [before, tag] = [path.slice(0, at), path.slice(at + 1)];
    if (tag !== '' && existsSync(before) && (await isContainerImage(before, log)))
      return { path: before, tag };
  }
  return undefined;
}

/** The names with which archives of images begin; root filesystems begin with none of them. */
const FIRST_NAMES =
  /^(oci-layout|index\.json|manifest\.json|repositories|version|blobs(\/sha(256|512)(\/[0-9a-f]+)?)?|[0-9a-f]{64}(\.json|\.tar|\/.*)?)$/;

async function isContainerImage(path: string, log: Log): Promise<boolean> {
  const stats = statSync(path);
  if (stats.isDirectory()) {
    return (
      existsSync(`${path}/oci-layout`) || (existsSync(`${path}/manifest.json`) && !existsSync(`${path}/bin`))
    );
  }
  if (!stats.isFile()) return false;
  const opened = await openDecompressed(path, log).catch(() => undefined);
  if (opened === undefined) return false;
  try {
    return FIRST_NAMES.test((await firstName(opened.stream)) ?? '');
  } finally {
    opened.stop();
  }
}

interface Decompressed {
  readonly stream: Readable;
  readonly compressed: boolean;
  ended(): Promise<number>;
  stop(): void;
}

async function openDecompressed(path: string, log: Log): Promise<Decompressed> {
  const header = Buffer.alloc(HEADER_SIZE);
  const fd = openSync(path, 'r');
  try {
    const compression = compressionOf(header.subarray(0, readSync(fd, header, 0, HEADER_SIZE, 0)));
    if (compression === undefined) throw badImage(`${path} is not an archive`);
    if (compression === 'none') {
      const stream = createReadStream(path);
      return { stream, compressed: false, ended: async () => 0, stop: () => stream.destroy() };
    }
    const choice = chooseDecompressor(compression);
    if (!choice.found) {
      throw new UsageError(`unpacking ${path} needs ${choice.program}`, {
        code: 'NO_PROGRAM',
        remedy: `install the package ${choice.package}`,
      });
    }
    const [program = '', ...options] = (choice.command ?? '').split(' ');
    const child = await spawnHost([program, ...options, '-d', '-c'], log, { stdio: [fd, 'pipe', 'ignore'] });
    const { stdout } = child.child;
    if (stdout === null) throw badImage('internal: a pipe is missing', { code: 'INTERNAL' });
    return {
      stream: stdout,
      compressed: true,
      ended: async () => (await child.exited).status,
      stop: () => {
        child.kill('SIGKILL');
        stdout.destroy();
      },
    };
  } finally {
    closeSync(fd);
  }
}

interface Import {
  /** Debian's name. */
  readonly arch: string;
  readonly log: Log;
  readonly signal: AbortSignal | undefined;
  readonly maxBytes?: number | undefined;
}

/**
 * Writes a tarball, and gives its ending.
 * @param stem its path without the ending
 * @throws UsageError for a broken, hostile or wrong image, TestbedError
 */
export async function importContainerImage(
  { path, tag }: ContainerImage,
  stem: string,
  lock: number,
  { arch, log, signal, maxBytes }: Import,
): Promise<string> {
  const files = await openImage(path, `${stem}.outer`, { log, signal, maxBytes });
  const image = await chooseImage(files, { arch, tag });
  return flatten(image, stem, lock, { files, log, signal, maxBytes });
}

/** @param temporary where an archive that is compressed as a whole is unpacked; the caller removes it */
async function openImage(
  path: string,
  temporary: string,
  { log, signal, maxBytes = MAX_BYTES }: Omit<Import, 'arch'>,
): Promise<ImageFiles> {
  if (statSync(path).isDirectory()) return directoryFiles(path);
  const opened = await openDecompressed(path, log);
  if (!opened.compressed) {
    opened.stop();
    return archiveFiles(path, signal);
  }
  try {
    await pipeline(opened.stream, atMost(maxBytes), createWriteStream(temporary, { mode: 0o600 }), {
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (cause) {
    opened.stop();
    signal?.throwIfAborted();
    if (cause instanceof UsageError) throw cause;
    throw new TestbedError(`decompressing ${path} failed: ${reasonOf(cause)}`, {
      code: 'IMPORT_FAILED',
      remedy: cacheFullRemedy(temporary),
      cause,
    });
  }
  if ((await opened.ended()) !== 0) throw badImage(`${path} cannot be decompressed`);
  return archiveFiles(temporary, signal);
}

function atMost(maxBytes: number): (source: AsyncIterable<Buffer>) => AsyncGenerator<Buffer> {
  return async function* (source) {
    let bytes = 0;
    for await (const chunk of source) {
      bytes += chunk.length;
      if (bytes > maxBytes)
        throw badImage(`the archive of the image has more than ${maxBytes} bytes`, { code: 'TOO_LARGE' });
      yield chunk;
    }
  };
}
