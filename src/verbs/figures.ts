const UNITS = ['', 'K', 'M', 'G', 'T'] as const;

/** Units of 1024 as in ls -h, for example `62M`; `65 MB` would be ambiguous. */
export function showSize(bytes: number): string {
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)}${UNITS[unit]}`;
}

export function showTime(time: number): string {
  const date = new Date(time);
  const two = (part: number) => String(part).padStart(2, '0');
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** The last cell of a row that has fewer than the head goes on over the columns to its right. */
export function showTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows];
  const width = (line: readonly string[], column: number) =>
    column === line.length - 1 && line.length < head.length ? 0 : (line[column] ?? '').length;
  const widths = head.map((_, column) => Math.max(...lines.map((line) => width(line, column))));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}
