/** ` (did you mean run)` where one word is near enough, else nothing: to be put behind the wrong word. */
export function didYouMean(word: string, known: readonly string[]): string {
  const nearest = nearestTo(word, known);
  return nearest === undefined ? '' : ` (did you mean ${nearest})`;
}

/** The nearest known word, with at most so many changes: one for each three letters. */
export function nearestTo(
  word: string,
  known: readonly string[],
  most = Math.ceil(word.length / 3),
): string | undefined {
  // A word may be megabytes long. As many letters as it has too many must be deleted.
  const ranked = known
    .filter((each) => word.length - each.length < each.length)
    .map((each) => ({ each, changes: changesBetween(word, each) }))
    .sort((one, other) => one.changes - other.changes);
  const [best] = ranked;
  return best !== undefined && best.changes <= most && best.changes < best.each.length
    ? best.each
    : undefined;
}

/** Letters to insert, delete, replace or swap (optimal string alignment). */
function changesBetween(one: string, other: string): number {
  const rows = Array.from({ length: one.length + 1 }, (_, row) => [row]);
  const at = (row: number, column: number) => rows[row]?.[column] ?? row + column;
  for (let row = 0; row <= one.length; row += 1) {
    for (let column = 1; column <= other.length; column += 1) {
      const same = one[row - 1] === other[column - 1] ? 0 : 1;
      const swapped = one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      const ways =
        row === 0
          ? [column]
          : [
              at(row - 1, column) + 1,
              at(row, column - 1) + 1,
              at(row - 1, column - 1) + same,
              ...(swapped && row > 1 && column > 1 ? [at(row - 2, column - 2) + 1] : []),
            ];
      rows[row]?.splice(column, 1, Math.min(...ways));
    }
  }
  return at(one.length, other.length);
}
