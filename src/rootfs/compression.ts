/**
 * How a tarball is compressed, told by its first bytes and never by its name, and the host program that undoes it.
 */
import { findProgram } from '../processes/find.ts';

export type Compression = 'none' | 'gzip' | 'bzip2' | 'xz' | 'zstd' | 'lz4' | 'lzip';

/** Bytes that `compressionOf` wants to see: one tar header. */
export const HEADER_SIZE = 512;

const MAGIC: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['lz4', [0x04, 0x22, 0x4d, 0x18]],
  ['lzip', [0x4c, 0x5a, 0x49, 0x50]],
];

/** The compression of a tarball that starts with these bytes; undefined when it is no tarball at all. */
export function compressionOf(header: Buffer): Compression | undefined {
  for (const [compression, magic] of MAGIC) {
    if (magic.every((byte, index) => header[index] === byte)) return compression;
  }
  return isTarHeader(header) ? 'none' : undefined;
}

/** Is this a tar header of any age? The sum of its bytes, its own field counted as spaces, is stored in octal (pax(1), ustar). */
function isTarHeader(header: Buffer): boolean {
  if (header.length < HEADER_SIZE) return false;
  const stored = Number.parseInt(header.toString('latin1', 148, 156).replaceAll('\0', ' ').trim(), 8);
  let sum = 0;
  for (let index = 0; index < HEADER_SIZE; index++) {
    sum += index >= 148 && index < 156 ? 0x20 : (header[index] ?? 0);
  }
  return sum === stored;
}

/** A program that reads compressed data on stdin and, given `-d`, writes the plain data on stdout. */
interface Decompressor {
  /** As tar's --use-compress-program takes it: tar splits it at spaces and adds -d. */
  readonly command: string;
  /** The Debian package that has it. */
  readonly package: string;
}

/** The first one installed is used: those that work in parallel stand first. */
const DECOMPRESSORS: Readonly<Record<Exclude<Compression, 'none'>, readonly Decompressor[]>> = {
  gzip: [
    { command: 'pigz', package: 'pigz' },
    { command: 'gzip', package: 'gzip' },
  ],
  bzip2: [
    { command: 'lbzip2', package: 'lbzip2' },
    { command: 'pbzip2', package: 'pbzip2' },
    { command: 'bzip2', package: 'bzip2' },
  ],
  xz: [{ command: 'xz -T0', package: 'xz-utils' }],
  zstd: [{ command: 'zstd -T0 -q', package: 'zstd' }],
  lz4: [{ command: 'lz4 -q', package: 'lz4' }],
  lzip: [
    { command: 'plzip', package: 'plzip' },
    { command: 'lzip', package: 'lzip' },
  ],
};

export type DecompressorChoice =
  | { readonly found: true; readonly command: string | undefined }
  | { readonly found: false; readonly program: string; readonly package: string };

/** The command that undoes a compression on this host (undefined: nothing to undo), or the package that is missing. */
export function chooseDecompressor(
  compression: Compression,
  installed: (program: string) => boolean = (program) => findProgram(program) !== undefined,
): DecompressorChoice {
  if (compression === 'none') return { found: true, command: undefined };
  const candidates = DECOMPRESSORS[compression];
  for (const { command } of candidates) {
    if (installed(programOf(command))) return { found: true, command };
  }
  // The last one is the plain, usual one.
  const usual = candidates[candidates.length - 1];
  return {
    found: false,
    program: programOf(usual?.command ?? compression),
    package: usual?.package ?? compression,
  };
}

function programOf(command: string): string {
  return command.split(' ', 1)[0] ?? command;
}
