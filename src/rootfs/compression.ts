import { findProgram } from '../processes/find.ts';
import { packageOf } from '../tools.ts';

export type Compression = 'none' | 'gzip' | 'bzip2' | 'xz' | 'zstd' | 'lz4' | 'lzip';

export const HEADER_SIZE = 512;

const MAGIC: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  // pzstd(1) begins with a frame that others skip.
  ['zstd', [0x50, 0x2a, 0x4d, 0x18]],
  ['lz4', [0x04, 0x22, 0x4d, 0x18]],
  ['lzip', [0x4c, 0x5a, 0x49, 0x50]],
];

export function compressionOf(header: Buffer): Compression | undefined {
  for (const [compression, magic] of MAGIC) {
    if (magic.every((byte, index) => header[index] === byte)) return compression;
  }
  return isTarHeader(header) ? 'none' : undefined;
}

/** Whether the checksum of a tar header is right; its own field counts as spaces (pax(1), ustar). */
function isTarHeader(header: Buffer): boolean {
  if (header.length < HEADER_SIZE) return false;
  const stored = Number.parseInt(header.toString('latin1', 148, 156).replaceAll('\0', ' ').trim(), 8);
  let sum = 0;
  for (let index = 0; index < HEADER_SIZE; index++) {
    sum += index >= 148 && index < 156 ? 0x20 : (header[index] ?? 0);
  }
  return sum === stored;
}

/** For tar's --use-compress-program, which adds `-d`. The first installed one is used: parallel ones come first. */
const DECOMPRESSORS: Readonly<Record<Exclude<Compression, 'none'>, readonly [string, ...string[]]>> = {
  gzip: ['pigz', 'gzip'],
  bzip2: ['lbzip2', 'pbzip2', 'bzip2'],
  xz: ['xz -T0'],
  zstd: ['zstd -T0 -q'],
  lz4: ['lz4 -q'],
  lzip: ['plzip', 'lzip'],
};

type DecompressorChoice =
  | { readonly found: true; readonly command: string | undefined }
  | { readonly found: false; readonly program: string; readonly package: string };

export function chooseDecompressor(
  compression: Compression,
  installed: (program: string) => boolean = (program) => findProgram(program) !== undefined,
): DecompressorChoice {
  if (compression === 'none') return { found: true, command: undefined };
  const candidates = DECOMPRESSORS[compression];
  const command = candidates.find((one) => installed(programOf(one)));
  if (command !== undefined) return { found: true, command };
  const usual = programOf(candidates.at(-1) ?? candidates[0]);
  return { found: false, program: usual, package: packageOf(usual) };
}

function programOf(command: string): string {
  return command.split(' ', 1)[0] ?? command;
}
