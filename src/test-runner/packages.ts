/** Lists of packages in an output directory, `NAME\tVERSION` a line in the order of the names. */

/**
 * What a test had in addition to the pristine testbed. The driver compared with what its testbed had when it was opened; where that was an
 * image with dependencies, these are added. @param test what the driver wrote
 */
export function packagesOfTest(test: string, opened: string, pristine: string): string {
  const base = new Set(linesOf(pristine).map(nameOf));
  const own = linesOf(test);
  const seen = new Set(own.map(nameOf));
  const before = linesOf(opened).filter((line) => !base.has(nameOf(line)) && !seen.has(nameOf(line)));
  const byName = (one: string, other: string) => Buffer.compare(Buffer.from(one), Buffer.from(other));
  return [...own.filter((line) => !base.has(nameOf(line))), ...before]
    .sort(byName)
    .map((line) => `${line}\n`)
    .join('');
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

function nameOf(line: string): string {
  return line.split('\t')[0] ?? '';
}
