/** Runs a share of the tests by one driver. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Argv } from '../host.ts';
import type { Log } from '../log.ts';
import { type DriverEnd, startDriver, stepOf } from './driver.ts';
import { logOf, outputOf } from './image.ts';
import { readIfThere } from './merge.ts';
import { calling, parseSummary, type Summary } from './results.ts';
import type { Unit } from './shares.ts';
import { builtTree } from './tree.ts';

const NO_BUILD = '--no-built-binaries';

export interface ShareOrder {
  readonly share: readonly Unit[];
  readonly args: readonly string[];
  readonly debs: readonly string[];
  readonly tree: string;
  /** What the user calls the package. */
  readonly called: string;
  readonly server: Argv;
  readonly folder: string;
  readonly temporary: string;
  readonly signal: AbortSignal;
  readonly onStep: (name: string, step: 'preparing' | 'running' | 'ended', summary: () => Summary) => void;
}

export interface ShareRun {
  readonly share: readonly Unit[];
  readonly folder: string;
  readonly end: DriverEnd;
  readonly summary: Summary;
  /** With lines about tests that it was not asked for. */
  readonly unfiltered: Summary;
  /** The test that it was at when it ended. */
  readonly current: string | undefined;
}

/** @throws TestbedError when it cannot be started */
export async function runShare(order: ShareOrder, log: Log): Promise<ShareRun> {
  const { share, folder } = order;
  const output = outputOf(folder);
  mkdirSync(folder, { recursive: true });
  const { tree, server } = await builtTree(order, log);
  const names = new Set(share.map(({ name }) => name));
  // The driver writes it; what the log shows of a result may be from a test.
  const unfiltered = () =>
    calling(parseSummary(readIfThere(join(output, 'summary'))), { from: tree, to: order.called });
  const summary = () => {
    const { results, notes } = unfiltered();
    return { results: results.filter(({ name }) => names.has(name)), notes };
  };
  let current: string | undefined;
  const driver = await startDriver(
    {
      args: [
        ...order.args.filter((word) => word !== NO_BUILD),
        ...[NO_BUILD, `--output-dir=${output}`],
        ...[...names].map((name) => `--test-name=${name}`),
        ...[...order.debs, tree],
      ],
      server,
      logFile: logOf(folder),
      temporary: order.temporary,
      signal: order.signal,
      onLine: (line) => {
        const step = stepOf(line);
        if (step === undefined || !names.has(step.name)) return;
        current = step.name;
        order.onStep(step.name, step.step, summary);
      },
    },
    log,
  );
  const end = await driver.ended;
  return { share, folder, end, summary: summary(), unfiltered: unfiltered(), current };
}
