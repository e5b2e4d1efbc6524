/** Which of the package's tests are run, and in which network. */
import type { DefinedTest } from './defined.ts';
import type { TestResult } from './results.ts';
import type { Setting } from './shares.ts';

interface Choice {
  readonly tests: readonly DefinedTest[];
  /** What the driver reports as skipped before it runs any. */
  readonly skipped: readonly TestResult[];
  readonly only: readonly string[];
  readonly without: readonly string[];
  readonly privateNetworks: boolean;
}

export interface Selection {
  /** In their order. */
  readonly run: readonly (DefinedTest & Pick<Setting, 'network'>)[];
  readonly skipped: readonly TestResult[];
}

export function selectTests({ tests, skipped, only, without, privateNetworks }: Choice): Selection {
  const networks = new Map<string, Setting['network']>();
  for (const { name } of tests) {
    const isWanted = (only.length === 0 || only.includes(name)) && !without.includes(name);
    if (!isWanted || networks.has(name)) continue;
    const all = tests.filter((test) => test.name === name);
    const isSkipped = skipped.filter((result) => result.name === name).length >= all.length;
    if (!isSkipped) networks.set(name, 'given');
    else if (privateNetworks && all.some(needsOwnNetwork)) networks.set(name, 'private');
  }
  return {
    run: tests.flatMap((test) => {
      const network = networks.get(test.name);
      return network === undefined ? [] : [{ ...test, network }];
    }),
    skipped: skipped.filter(({ name }) => networks.get(name) !== 'private'),
  };
}

function needsOwnNetwork({ restrictions }: DefinedTest): boolean {
  return restrictions.includes('isolation-container') && !restrictions.includes('isolation-machine');
}
