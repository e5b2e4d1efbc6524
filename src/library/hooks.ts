/** Testbeds for tests of any runner: hooks are functions without parameters that return a promise. */
import { UsageError } from '../errors.ts';
import type { OpenOptions } from './open-options.ts';
import type { FromSnapshot, Snapshot } from './snapshot.ts';
import { Testbed } from './testbed.ts';

type Test = (testbed: Testbed) => unknown;

/**
 * A test function that gives `test` a fresh testbed and closes it afterwards, however the test ended:
 * `it('installs', withTestbed(async (testbed) => { … }))`. It has no parameters, so runners wait for its promise.
 * @param test gets the testbed, of the host's own release; what it returns is awaited
 */
export function withTestbed(test: Test): () => Promise<void>;
/**
 * The same with options.
 * @param options of the testbed, as for {@link Testbed.open}
 * @param test gets the testbed; what it returns is awaited
 */
export function withTestbed(options: OpenOptions | FromSnapshot, test: Test): () => Promise<void>;
export function withTestbed(first: OpenOptions | FromSnapshot | Test, second?: Test): () => Promise<void> {
  const [options, test] = typeof first === 'function' ? [{}, first] : [first, second];
  if (typeof test !== 'function') {
    throw new UsageError('withTestbed was called without a test', {
      code: 'WRONG_VALUE',
      remedy: 'give a function that gets the testbed',
    });
  }
  return async () => {
    const testbed = await Testbed.open(options);
    try {
      await test(testbed);
    } catch (error) {
      // Only the first error is reported.
      await testbed.close().catch(() => {});
      throw error;
    }
    await testbed.close();
  };
}

/** Registering functions of mocha and node:test; vitest has beforeAll and afterAll. */
export interface SuiteHooks {
  /** Runs a function once before the tests of the suite: `before` of mocha and node:test, `beforeAll` of vitest and jest. */
  readonly before: (hook: () => Promise<void>) => unknown;
  /** Runs a function once after them: `after` of mocha and node:test, `afterAll` of vitest and jest. */
  readonly after: (hook: () => Promise<void>) => unknown;
  /** With it each test gets the testbed as it was opened; without it the tests of the suite share their changes. */
  readonly beforeEach?: (hook: () => Promise<void>) => unknown;
}

/** How the testbeds of tests are prepared. */
export interface SuiteOptions {
  /**
   * Prepares a testbed once. All tests begin with a snapshot of the files that it leaves; the processes that it leaves are
   * ended.
   */
  readonly prepare?: (testbed: Testbed) => unknown;
}

/**
 * One testbed for a suite: opened before, closed after, and reverted before each test when `beforeEach` is given, to what
 * `prepare` has left. Call it where the runner's own hooks are called.
 * @param options of the testbed, as for {@link Testbed.open}
 * @returns the function that gives the testbed to tests, and to hooks that run after `before`
 */
export function suiteTestbed(
  hooks: SuiteHooks,
  options: OpenOptions | FromSnapshot = {},
  { prepare }: SuiteOptions = {},
): () => Testbed {
  for (const name of ['before', 'after'] as const) {
    if (typeof hooks?.[name] === 'function') continue;
    throw new UsageError(`suiteTestbed has no function ${name}`, {
      code: 'WRONG_VALUE',
      remedy: 'give those of the test runner: { before, after, beforeEach }',
    });
  }
  let testbed: Testbed | undefined;
  let prepared: Snapshot | undefined;
  let used = false;
  hooks.before(async () => {
    testbed = await Testbed.open(options);
    if (prepare === undefined) return;
    await prepare(testbed);
    prepared = await testbed.snapshot();
  });
  hooks.beforeEach?.(async () => {
    if (used) await testbed?.revert();
    used = true;
  });
  hooks.after(async () => {
    try {
      await testbed?.close();
    } finally {
      testbed = undefined;
      await prepared?.dispose();
    }
  });
  return () => {
    if (testbed === undefined)
      throw new UsageError('the testbed of the suite is not open', {
        code: 'NOT_OPEN',
        remedy: 'use it in tests and in hooks that run after before',
      });
    return testbed;
  };
}

/** The context of a test with the root hooks of mocha: `this.testbed`. */
export interface TestbedContext {
  /** The fresh testbed of this test. */
  testbed?: Testbed;
}

/**
 * Mocha's root hooks: every test has a fresh testbed as `this.testbed`. In a file for mocha's --import or --require:
 * `export const mochaHooks = testbedHooks({ release: 'trixie' });`
 * With `prepare` each test has a fork of one that was prepared once; with mocha's option --parallel, once in each file.
 * @param options of the testbeds, as for {@link Testbed.open}
 */
export function testbedHooks(
  options: OpenOptions | FromSnapshot = {},
  { prepare }: SuiteOptions = {},
): {
  /** Prepares. */
  beforeAll(): Promise<void>;
  /** Opens the testbed of a test. */
  beforeEach(this: TestbedContext): Promise<void>;
  /** Closes it. */
  afterEach(this: TestbedContext): Promise<void>;
  /** Disposes of what was prepared. */
  afterAll(): Promise<void>;
} {
  let prepared: Snapshot | undefined;
  return {
    async beforeAll() {
      if (prepare === undefined) return;
      const testbed = await Testbed.open(options);
      try {
        await prepare(testbed);
        prepared = await testbed.snapshot();
      } finally {
        await testbed.close();
      }
    },
    async beforeEach() {
      this.testbed = await Testbed.open(prepared === undefined ? options : { from: prepared });
    },
    async afterEach() {
      await this.testbed?.close();
      delete this.testbed;
    },
    async afterAll() {
      await prepared?.dispose();
      prepared = undefined;
    },
  };
}
