/** A range of subordinate ids for one more account. Pure. */

/** As of useradd(8). */
const FIRST = 100_000;
const COUNT = 65_536;

/**
 * The first range that no account has: one that shares its ids could end the other's testbeds, and read their files.
 * @param texts contents of subuid(5) and subgid(5)
 */
export function freeRange(...texts: readonly string[]): string {
  const taken = texts.flatMap((text) =>
    [...text.matchAll(/^[^:\n]*:(\d+):(\d+)$/gm)].map(([, start, count]) => ({
      start: Number(start),
      end: Number(start) + Number(count),
    })),
  );
  let first = FIRST;
  for (const { start, end } of taken.sort((one, other) => one.start - other.start)) {
    if (start < first + COUNT) first = Math.max(first, end);
  }
  return `${first}-${first + COUNT - 1}`;
}
