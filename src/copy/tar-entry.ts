/** The description of one file in a tar archive, and the size of its blocks. Pure. */
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

/** A run of data in a sparse file, in bytes. */
export interface Segment {
  readonly offset: number;
  readonly size: number;
}

export interface TarEntry {
  readonly kind: TarKind;
  /** As the archive spells it. */
  readonly path: ByteString;
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  readonly mode: number;
  /** Seconds since 1970 as decimal text, exact to the nanosecond: `-?digits` and up to nine digits after a point. */
  readonly mtime: string;
  /** Bytes of data that follow; of a sparse file the bytes of its segments. */
  readonly size: number;
  /** The target of a symbolic or hard link, else empty. */
  readonly link: ByteString;
  /** Only of a sparse file: its apparent size, and where its data is. */
  readonly sparse?: { readonly size: number; readonly segments: readonly Segment[] };
  /** Extended attributes and access lists as the archive names them: `SCHILY.xattr.user.x`, `SCHILY.acl.access`. */
  readonly attributes: ReadonlyMap<ByteString, ByteString>;
}

/** Gets what an archive contains: an entry, then its `size` bytes in any number of pieces. */
export interface TarSink {
  entry(entry: TarEntry): void;
  data(bytes: Buffer): void;
}
