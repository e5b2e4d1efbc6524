import type { ByteString } from './bytes.ts';

export const BLOCK = 512;

export type TarKind =
  | 'file'
  | 'hard link'
  | 'symbolic link'
  | 'character device'
  | 'block device'
  | 'directory'
  | 'fifo'
  | 'unknown';

export interface Segment {
  readonly offset: number;
  readonly size: number;
}

export interface TarEntry {
  readonly kind: TarKind;
  readonly path: ByteString;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  /** Seconds since 1970 as decimal text, with up to nine digits after the point. */
  readonly mtime: string;
  /** Bytes of data that follow; for a sparse file, the bytes of its segments. */
  readonly size: number;
  readonly link: ByteString;
  readonly sparse?: { readonly size: number; readonly segments: readonly Segment[] };
  readonly attributes: ReadonlyMap<ByteString, ByteString>;
  /** Major and minor number of a device node. */
  readonly device?: readonly [number, number];
}

/** Gets what an archive contains: an entry, then its `size` bytes in any number of pieces. */
export interface TarSink {
  entry(entry: TarEntry): void;
  data(bytes: Buffer): void;
}
