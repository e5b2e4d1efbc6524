/** Files of an image that are known by their digest. */
import type { Hash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { badImage } from './bad-image.ts';
import type { ImageFiles } from './files.ts';
import { type Json, numberAt, parseJson, textAt } from './json.ts';

export interface Digest {
  readonly algorithm: 'sha256' | 'sha512';
  readonly hex: string;
}

export interface Blob {
  /** The name of its file. */
  readonly name: string;
  /** Undefined in an archive of older versions of docker; such a layer has the digest of its content only. */
  readonly digest: Digest | undefined;
  readonly size: number | undefined;
}

export function parseDigest(text: string | undefined, what: string): Digest {
  const [, short, long] = /^(?:sha256:([0-9a-f]{64})|sha512:([0-9a-f]{128}))$/.exec(text ?? '') ?? [];
  if (short !== undefined) return { algorithm: 'sha256', hex: short };
  if (long !== undefined) return { algorithm: 'sha512', hex: long };
  throw badImage(`${what} has no digest of a known kind`);
}

export function showDigest({ algorithm, hex }: Digest): string {
  return `${algorithm}:${hex.slice(0, 12)}`;
}

export function blobOf(descriptor: Json, what: string): Blob {
  const digest = parseDigest(textAt(descriptor, 'digest'), what);
  return {
    name: `blobs/${digest.algorithm}/${digest.hex}`,
    digest,
    size: numberAt(descriptor, 'size'),
  };
}

/** As in other readers of images. */
const LARGEST_JSON = 4 * 2 ** 20;

/** @throws UsageError when it has another digest or size, or is no JSON */
export async function readJson(files: ImageFiles, blob: Blob, what: string): Promise<unknown> {
  const { size, stream } = files.open(blob.name);
  try {
    if (size > LARGEST_JSON) {
      throw badImage(`${what} has ${size} bytes, more than ${LARGEST_JSON}`, { code: 'TOO_LARGE' });
    }
    if (blob.size !== undefined && blob.size !== size) throw wrongSize(what, size, blob.size);
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    if (blob.digest !== undefined) {
      const { createHash } = await import('node:crypto');
      checkDigest(createHash(blob.digest.algorithm).update(bytes), blob.digest, what);
    }
    return parseJson(bytes, what);
  } finally {
    stream.destroy();
  }
}

export function wrongSize(what: string, size: number, wanted: number): Error {
  return badImage(`${what} has ${size} bytes instead of ${wanted}`, { code: 'WRONG_SIZE' });
}

/** @throws UsageError */
export function checkDigest(hash: Hash, { algorithm, hex }: Digest, what: string): void {
  const found = hash.digest('hex');
  if (found === hex) return;
  throw badImage(`${what} has the digest ${algorithm}:${found} instead of ${algorithm}:${hex}`, {
    code: 'WRONG_DIGEST',
  });
}

export async function* hashing(source: Readable | AsyncIterable<Buffer>, hash: Hash): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
}
