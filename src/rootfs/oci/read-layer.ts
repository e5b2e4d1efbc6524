/** Reads a layer: decompressed by a program of the host, and verified. It counts as read only when its digests are right. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { TarSink } from '../../archive/tar-entry.ts';
import { TarReader } from '../../archive/tar-reader.ts';
import { UsageError } from '../../errors.ts';
import { briefWords, spawnHost, textOf } from '../../host.ts';
import type { Log } from '../../log.ts';
import { chooseDecompressor, compressionOf, HEADER_SIZE } from '../compression.ts';
import { badImage, inImage } from './bad-image.ts';
import { checkDigest, hashing, showDigest, wrongSize } from './blob.ts';
import type { Layer } from './choose.ts';
import type { ImageFiles } from './files.ts';

export interface LayerSink extends TarSink {
  /** What is waited for before more is read. */
  room?(): Promise<void> | undefined;
}

interface Reading {
  readonly files: ImageFiles;
  readonly log: Log;
  readonly signal: AbortSignal | undefined;
}

export function showLayer(number: number, { diffId }: Layer): string {
  return `layer ${number} (${showDigest(diffId)})`;
}

/** @throws the reason of the signal, UsageError that names the layer */
export async function readLayer(
  what: string,
  layer: Layer,
  sink: LayerSink,
  reading: Reading,
): Promise<void> {
  const { createHash } = await import('node:crypto');
  const { size, stream } = reading.files.open(layer.name);
  if (layer.size !== undefined && layer.size !== size) {
    stream.destroy();
    throw wrongSize(what, size, layer.size);
  }
  const packed = layer.digest === undefined ? undefined : createHash(layer.digest.algorithm);
  const content = createHash(layer.diffId.algorithm);
  const reader = new TarReader(sink);
  try {
    const given = packed === undefined ? stream : hashing(stream, packed);
    for await (const chunk of decompressed(what, given, reading)) {
      content.update(chunk);
      reader.push(chunk);
      await sink.room?.();
    }
  } catch (error) {
    reading.signal?.throwIfAborted();
    throw inImage(what, error);
  } finally {
    stream.destroy();
  }
  // First what was given, because a wrong digest explains what else is wrong.
  if (packed !== undefined && layer.digest !== undefined) checkDigest(packed, layer.digest, what);
  checkDigest(content, layer.diffId, what);
  try {
    reader.finishWithoutEnd();
  } catch (error) {
    throw inImage(what, error);
  }
}

async function* decompressed(
  what: string,
  source: AsyncIterable<Buffer>,
  { log, signal }: Reading,
): AsyncGenerator<Buffer> {
  const chunks = source[Symbol.asyncIterator]();
  let start: Buffer = Buffer.alloc(0);
  while (start.length < HEADER_SIZE) {
    const next = await chunks.next();
    if (next.done === true) break;
    start = Buffer.concat([start, next.value]);
  }
  const all = joined(start, { [Symbol.asyncIterator]: () => chunks }, signal);
  const compression = compressionOf(start) ?? 'none';
  if (compression === 'none') {
    yield* all;
    return;
  }
  const choice = chooseDecompressor(compression);
  if (!choice.found) {
    throw new UsageError(`unpacking ${what} needs ${choice.program}`, {
      code: 'NO_PROGRAM',
      remedy: `install the package ${choice.package}`,
    });
  }
  const [program = '', ...options] = (choice.command ?? '').split(' ');
  const child = await spawnHost([program, ...options, '-d', '-c'], log, { stdio: ['pipe', 'pipe', 'pipe'] });
  const { stdin, stdout, stderr } = child.child;
  const stop = () => child.kill('SIGKILL');
  signal?.addEventListener('abort', stop, { once: true });
  try {
    if (stdin === null || stdout === null)
      throw badImage('internal: a pipe is missing', { code: 'INTERNAL' });
    const words = textOf(stderr);
    const feeding = pipeline(Readable.from(all, { objectMode: false }), stdin);
    feeding.catch(() => {});
    for await (const chunk of stdout) yield chunk;
    const { status } = await child.exited;
    if (status !== 0) {
      throw badImage(`${what} cannot be decompressed: ${briefWords(await words) || `${program} failed`}`);
    }
    await feeding;
  } finally {
    signal?.removeEventListener('abort', stop);
    if (child.child.exitCode === null && child.child.signalCode === null) stop();
    for (const pipe of [stdin, stdout, stderr]) pipe?.destroy();
  }
}

async function* joined(
  start: Buffer,
  rest: AsyncIterable<Buffer>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  if (start.length > 0) yield start;
  for await (const chunk of rest) {
    signal?.throwIfAborted();
    yield chunk;
  }
}
