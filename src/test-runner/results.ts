/** Summaries of autopkgtest, and the exit status that belongs to them. */

export type Outcome = 'PASS' | 'FAIL' | 'SKIP' | 'FLAKY';

export interface TestResult {
  readonly name: string;
  readonly outcome: Outcome;
  /** What stands behind the outcome, such as `non-zero exit status 1`. */
  readonly reason: string;
  /** Lines that belong to it: `blame: …`, `badpkg: …`. */
  readonly more: readonly string[];
}

export interface Summary {
  readonly results: readonly TestResult[];
  /** Lines about the whole run, such as `testbed failure: …`. */
  readonly notes: readonly string[];
}

export const EXIT_BAD_PACKAGE = 12;
export const EXIT_TESTBED_FAILURE = 16;
export const EXIT_OTHER = 20;

const NOTE = /^(?:testbed failure: |erroneous package: |quitting: )/;
const RESULT = /^(\S+)\s+(PASS|FAIL|SKIP|FLAKY)\b ?(.*)$/s;

export function parseSummary(text: string): Summary {
  const results: TestResult[] = [];
  const notes: string[] = [];
  for (const line of text.split('\n')) {
    const [, name, outcome, reason = ''] = RESULT.exec(line) ?? [];
    const last = results.at(-1);
    if (name !== undefined && isOutcome(outcome)) results.push({ name, outcome, reason, more: [] });
    else if (/^(?:blame|badpkg): /.test(line) && last !== undefined) {
      results[results.length - 1] = { ...last, more: [...last.more, line] };
    } else if (NOTE.test(line)) notes.push(line);
  }
  return { results, notes };
}

/** The driver blames the tree that it was given; `to` is what the user calls it. */
export function calling(
  { results, notes }: Summary,
  { from, to }: { readonly from: string; readonly to: string },
): Summary {
  const renamed = (line: string) => (line.startsWith('blame: ') ? line.replaceAll(from, to) : line);
  return { results: results.map((result) => ({ ...result, more: result.more.map(renamed) })), notes };
}

function isOutcome(word: string | undefined): word is Outcome {
  return word === 'PASS' || word === 'FAIL' || word === 'SKIP' || word === 'FLAKY';
}

/** The driver reads the control file twice before it runs tests, and reports twice what it skips. */
export function withoutRepetition(results: readonly TestResult[]): readonly TestResult[] {
  const half = results.length / 2;
  const same = (one: readonly TestResult[], other: readonly TestResult[]) =>
    JSON.stringify(one) === JSON.stringify(other);
  return Number.isInteger(half) && same(results.slice(0, half), results.slice(half))
    ? results.slice(0, half)
    : results;
}

export function resultText({ outcome, reason }: TestResult): string {
  return reason === '' ? outcome : `${outcome} ${reason}`;
}

export function formatSummary({ results, notes }: Summary): string {
  const lines = results.flatMap((result) => [
    `${result.name.padEnd(20)} ${resultText(result)}`,
    ...result.more,
  ]);
  return [...lines, ...notes].map((line) => `${line}\n`).join('');
}

/** As run_tests of autopkgtest does. */
export function statusOf(results: readonly TestResult[]): number {
  let status = 0;
  let anyPositive = false;
  for (const { outcome, reason } of results) {
    if (outcome === 'SKIP' || outcome === 'FLAKY') status |= 2;
    else if (outcome === 'FAIL') status |= reason === 'badpkg' ? 12 : 4;
    else if (reason !== '(superficial)') anyPositive = true;
  }
  return (status === 0 || status === 2) && !anyPositive ? 8 : status;
}
