/** One driver builds the package and reads its tests, and runs none of them. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Argv } from '../host.ts';
import type { Log } from '../log.ts';
import { type DefinedTest, definedTests } from './defined.ts';
import { type DriverEnd, startDriver } from './driver.ts';
import { keepingTree } from './driver-words.ts';
import { logOf, outputOf } from './image.ts';
import { readIfThere } from './merge.ts';
import { parseSummary, type TestResult, withoutRepetition } from './results.ts';

export interface Package {
  readonly tests: readonly DefinedTest[];
  /** What the driver skips because its testbeds cannot run it. */
  readonly skipped: readonly TestResult[];
  /** The built tree on the host. */
  readonly tree: string;
  readonly debs: readonly string[];
  /** Of autopkgtest. */
  readonly version: string;
}

export interface BuildOrder {
  readonly args: readonly string[];
  readonly packages: readonly string[];
  readonly server: Argv;
  readonly folder: string;
  readonly temporary: string;
  readonly signal: AbortSignal;
}

export type Built =
  | { readonly kind: 'built'; readonly package: Package }
  | { readonly kind: 'failed'; readonly end: DriverEnd };

/** @throws TestbedError, and the reason of an abort */
export async function buildPackage(order: BuildOrder, log: Log): Promise<Built> {
  const output = outputOf(order.folder);
  const moved = join(order.folder, 'tree');
  const driver = await startDriver(
    {
      // With --debug it reports the tests.
      args: [...order.args, '--debug', '--validate', `--output-dir=${output}`, ...order.packages],
      server: keepingTree(order.server, { from: join(output, 'tests-tree'), to: moved }),
      logFile: logOf(order.folder),
      temporary: order.temporary,
      signal: order.signal,
      onLine: () => {},
    },
    log,
  );
  const end = await driver.ended;
  order.signal.throwIfAborted();
  if (end.status !== 0) return { kind: 'failed', end };
  const text = readFileSync(logOf(order.folder), 'utf8');
  const { results } = parseSummary(readIfThere(join(output, 'summary')));
  const binaries = join(output, 'binaries');
  return {
    kind: 'built',
    package: {
      tests: definedTests(text),
      skipped: withoutRepetition(results),
      tree: existsSync(moved) ? moved : givenTree(order.packages),
      debs: existsSync(binaries)
        ? readdirSync(binaries)
            .filter((name) => name.endsWith('.deb'))
            .sort()
            .map((name) => join(binaries, name))
        : [],
      version: /^\S+ \[[\d:]+\]: version (\S+)$/m.exec(text)?.[1] ?? '',
    },
  };
}

/** One that was built before is used where it is. */
function givenTree(packages: readonly string[]): string {
  const tree = packages.find((path) => statSync(path, { throwIfNoEntry: false })?.isDirectory());
  return resolve(tree ?? '.');
}
