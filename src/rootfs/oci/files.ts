/** The files of a container image: in a directory, or in a tar archive, where they are found by tar-stream. */
import { closeSync, constants, createReadStream, fstatSync, openSync } from 'node:fs';
import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { reasonOf, systemCodeOf } from '../../errors.ts';
import { badImage } from './bad-image.ts';

export interface ImageFiles {
  has(name: string): boolean;
  /** @throws UsageError when there is no such file */
  open(name: string): { readonly size: number; readonly stream: Readable };
}

function absent(name: string, cause?: unknown): Error {
  return badImage(`the image has no file ${name}`, { code: 'INCOMPLETE_IMAGE', cause });
}

export function directoryFiles(directory: string): ImageFiles {
  // A pipe in the place of a file is not waited for.
  const open = (name: string) => openSync(`${directory}/${name}`, constants.O_RDONLY | constants.O_NONBLOCK);
  const openFile = (name: string): number => {
    try {
      return open(name);
    } catch (cause) {
      if (systemCodeOf(cause) === 'ENOENT') throw absent(name, cause);
      throw badImage(`cannot read ${name} of the image: ${reasonOf(cause)}`, {
        remedy: 'make it readable',
        cause,
      });
    }
  };
  const isFile = (fd: number) => fstatSync(fd).isFile();
  return {
    has(name) {
      try {
        const fd = open(name);
        try {
          return isFile(fd);
        } finally {
          closeSync(fd);
        }
      } catch {
        return false;
      }
    },
    open(name) {
      const fd = openFile(name);
      const { size } = fstatSync(fd);
      if (!isFile(fd)) {
        closeSync(fd);
        throw absent(name);
      }
      return { size, stream: createReadStream('', { fd }) };
    },
  };
}

interface Place {
  readonly offset: number;
  readonly size: number;
  readonly link: string | undefined;
}

/** An image has a few files for each layer. */
const MOST_FILES = 10_000;
const MOST_LINKS = 10;

/** @param path of an archive that is not compressed. @throws the reason of the signal, UsageError */
export async function archiveFiles(path: string, signal?: AbortSignal): Promise<ImageFiles> {
  const places = await listArchive(createReadStream(path, { highWaterMark: 1 << 20 }), signal);
  const find = (given: string): Place | undefined => {
    let name = posix.normalize(given);
    for (let links = 0; links <= MOST_LINKS; links += 1) {
      const place = places.get(name);
      if (place?.link === undefined) return place;
      name = place.link;
    }
    return undefined;
  };
  return {
    has: (name) => find(name) !== undefined,
    open(name) {
      const place = find(name);
      if (place === undefined) throw absent(name);
      const { offset: start, size } = place;
      const stream =
        size === 0 ? Readable.from([]) : createReadStream(path, { start, end: start + size - 1 });
      return { size, stream };
    },
  };
}

/** Where the content of each file lies. What it is worth is known from its digest. */
async function listArchive(source: Readable, signal: AbortSignal | undefined): Promise<Map<string, Place>> {
  const reading = extract();
  const places = new Map<string, Place>();
  source.on('error', (error) => reading.destroy(error));
  source.pipe(reading);
  const stop = () => void source.destroy(new Error('aborted'));
  signal?.addEventListener('abort', stop, { once: true });
  try {
    signal?.throwIfAborted();
    for await (const entry of reading) {
      const { name, type, linkname, size } = entry.header;
      const offset = byteOffsetOf(entry.header);
      const at = posix.normalize(name);
      if (type === 'file') places.set(at, { offset, size: size ?? 0, link: undefined });
      else if (type === 'symlink') {
        places.set(at, { offset, size: 0, link: posix.join(posix.dirname(at), linkname ?? '') });
      } else if (type === 'link') places.set(at, { offset, size: 0, link: posix.normalize(linkname ?? '') });
      if (places.size > MOST_FILES) throw badImage(`the image has more than ${MOST_FILES} files`);
      entry.resume();
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof Error && error.name === 'UsageError') throw error;
    throw badImage(`the archive of the image is broken: ${reasonOf(error)}`, { cause: error });
  } finally {
    signal?.removeEventListener('abort', stop);
    source.destroy();
  }
  return places;
}

/** tar-stream sets it; its types do not have it. */
function byteOffsetOf(header: object): number {
  const offset: unknown = Reflect.get(header, 'byteOffset');
  return typeof offset === 'number' ? offset : Number.NaN;
}

/** The name of the first entry that is not the top directory; undefined when the stream is no tar archive. */
export async function firstName(source: Readable): Promise<string | undefined> {
  const reading = extract();
  source.on('error', (error) => reading.destroy(error));
  source.pipe(reading);
  try {
    for await (const entry of reading) {
      const name = posix.normalize(entry.header.name).replace(/\/$/, '');
      if (name !== '.') return name;
      entry.resume();
    }
  } catch {
    // What reads it next reports what is wrong.
  } finally {
    source.destroy();
  }
  return undefined;
}
