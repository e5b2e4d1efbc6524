/** The map before the data of a sparse file, format 1.0: decimal lines, the first with the number of segments. */
import type { Segment } from './tar-entry.ts';
import type { Fail } from './tar-header.ts';

interface SparseMap {
  readonly segments: readonly Segment[];
  readonly length: number;
}

/** Undefined when the map is not complete yet. Segments have to be in order, disjoint, and within the file. */
export function parseSparseMap(bytes: Buffer, fileSize: number, fail: Fail): SparseMap | undefined {
  let at = 0;
  const next = (): number | undefined => {
    const end = bytes.indexOf(0x0a, at);
    if (end === -1 || end - at > 16) {
      if (bytes.length - at > 16) fail('has a broken sparse map');
      return undefined;
    }
    const digits = bytes.toString('latin1', at, end);
    const value = /^\d+$/.test(digits) ? Number(digits) : Number.NaN;
    if (!Number.isSafeInteger(value)) fail('has a broken sparse map');
    at = end + 1;
    return value;
  };
  const count = next();
  if (count === undefined) return undefined;
  const segments: Segment[] = [];
  let free = 0;
  for (let i = 0; i < count; i += 1) {
    const offset = next();
    const size = offset === undefined ? undefined : next();
    if (offset === undefined || size === undefined) return undefined;
    if (offset < free || offset + size > fileSize)
      fail('has a sparse map with overlapping or misplaced parts');
    free = offset + size;
    segments.push({ offset, size });
  }
  return { segments, length: at };
}

export function formatSparseMap(segments: readonly Segment[]): string {
  const lines = segments.map(({ offset, size }) => `${offset}\n${size}\n`);
  return `${segments.length}\n${lines.join('')}`;
}
