/**
 * Sizes and seeds of the random tests. FUZZ=long gives the counts that docs/fuzzing.md names, FUZZ=0.1 a tenth of them; without it
 * each test runs in its short form. FUZZ_SEED repeats an earlier run.
 */

/** The seed of all random tests of this process; the titles of the tests name it. */
export const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);

/** How many rounds to run. */
export function rounds({ short, long }: { readonly short: number; readonly long: number }): number {
  const { FUZZ } = process.env;
  if (FUZZ === undefined || FUZZ === '') return short;
  const factor = FUZZ === 'long' ? 1 : Number(FUZZ);
  if (!(factor > 0)) throw new Error(`FUZZ=${FUZZ} is neither "long" nor a number above 0`);
  return Math.max(1, Math.round(long * factor));
}

/** Parameters for fc.assert. */
export function parameters(numRuns: number): { readonly numRuns: number; readonly seed: number } {
  return { numRuns, seed };
}
