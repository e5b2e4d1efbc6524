/** What all runs of the cases came to, and a table of it. Pure. */
import type { CaseOutcome, Fault } from './runner.ts';

const FAULTS: readonly Fault[] = ['lost', 'hang', 'status', 'left', 'stray'];

export class Tally {
  readonly #cases = new Map<string, CaseOutcome[]>();

  add(name: string, outcome: CaseOutcome): void {
    const outcomes = this.#cases.get(name) ?? [];
    outcomes.push(outcome);
    this.#cases.set(name, outcomes);
  }

  get names(): string[] {
    return [...this.#cases.keys()];
  }

  /** Of a case: its runs, in how many of them there was each fault, and the median of their milliseconds. */
  cells(name: string): string[] {
    const outcomes = this.#cases.get(name) ?? [];
    if (outcomes.length === 0) return [...Array(FAULTS.length + 2)].map(() => '');
    const times = outcomes.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
    const counts = FAULTS.map((fault) => outcomes.filter(({ faults }) => faults.has(fault)).length);
    return [outcomes.length, ...counts, Math.round(times[times.length >> 1] ?? 0)].map(String);
  }
}

/** The tallies of several programs side by side; a program without one tells why. */
export function table(
  columns: readonly { readonly title: string; readonly tally: Tally | string }[],
): string {
  const tallies = columns.map(({ tally }) => (typeof tally === 'string' ? new Tally() : tally));
  const names = [...new Set(tallies.flatMap((tally) => tally.names))];
  const first = Math.max(...names.map((name) => name.length));
  const cells = (row: readonly string[]) => row.map((cell) => cell.padStart(7)).join('');
  const heads = cells(['runs', ...FAULTS, 'ms']);
  const line = (name: string, parts: readonly string[]) =>
    [name.padEnd(first), ...parts.map((part) => part.padEnd(heads.length))].join(' |').trimEnd();
  return [
    line(
      '',
      columns.map(({ title, tally }) => ` ${title}${typeof tally === 'string' ? `: ${tally}` : ''}`),
    ),
    line(
      '',
      tallies.map(() => heads),
    ),
    ...names.map((name) =>
      line(
        name,
        tallies.map((tally) => cells(tally.cells(name))),
      ),
    ),
  ].join('\n');
}
