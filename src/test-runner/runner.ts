/** Runs the tests of a package by several drivers, and puts together what they report. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { VirtError } from '../errors.ts';
import { shellLine } from '../log.ts';
import { scarceError } from '../scarce.ts';
import type { DriverEnd } from './driver.ts';
import { writeOutput } from './finish.ts';
import { outputOf } from './image.ts';
import { readIfThere } from './merge.ts';
import { type Failed, Preparation, type Ready, type RunOrder } from './preparation.ts';
import { Queue } from './queue.ts';
import {
  EXIT_BAD_PACKAGE,
  EXIT_OTHER,
  EXIT_TESTBED_FAILURE,
  parseSummary,
  type Summary,
  statusOf,
  type TestResult,
} from './results.ts';
import { runShare, type ShareRun } from './running.ts';
import type { Unit } from './shares.ts';

export interface RunEnd {
  readonly status: number;
  readonly summary: Summary;
}

/** Gives what there is after an abort too. @throws TestbedError */
export async function runTests(order: RunOrder): Promise<RunEnd> {
  const preparation = new Preparation(order);
  try {
    const ready = await preparation.prepare();
    return await (ready.kind === 'failed' ? fail(order, ready) : new Runner(order, ready).run());
  } finally {
    await preparation.dispose();
  }
}

/** The results are those of the driver that failed. */
async function fail(order: RunOrder, { folder, end }: Failed): Promise<RunEnd> {
  const summary = parseSummary(readIfThere(join(outputOf(folder), 'summary')));
  writeOutput(order.folders.output, { folders: [folder], parts: [], summary, server: serverLine(order) });
  return { status: end.signal === null ? end.status : EXIT_TESTBED_FAILURE, summary };
}

function serverLine({ server }: RunOrder): string {
  return shellLine(['autopkgtest-virt-ts-unshare', ...server.argvWithout([])]);
}

export class Runner {
  readonly #order: RunOrder;
  readonly #ready: Ready;
  readonly #queue: Queue;
  readonly #results = new Map<string, readonly TestResult[]>();
  readonly #runs: ShareRun[] = [];
  readonly #times: number[] = [];
  readonly #started = new Map<string, number>();
  readonly #lost: { readonly why: string; readonly names: readonly string[] }[] = [];
  readonly #notes = new Set<string>();
  /** Ends the drivers when one cannot be started. */
  readonly #failing = new AbortController();
  /** Of the drivers whose tests are lost. */
  #status = 0;

  constructor(order: RunOrder, ready: Ready) {
    this.#order = order;
    this.#ready = ready;
    this.#queue = new Queue(ready.units);
  }

  async run(): Promise<RunEnd> {
    const { screen } = this.#order;
    const { skipped, units } = this.#ready;
    const all = units.flatMap(({ name, count }) => Array.from({ length: count }, () => name));
    // The driver of a name reports those of its tests that it skips.
    const others = skipped.filter((result) => !units.some(({ name }) => name === result.name));
    screen.begin([...others.map(({ name }) => name), ...all]);
    for (const result of others) screen.result(result);
    if (units.length === 0) return this.#runNone();
    const running = new Set<Promise<void>>();
    try {
      await this.#runAll(running);
    } catch (error) {
      this.#failing.abort(error);
      this.#fail(error);
    } finally {
      await Promise.allSettled(running);
    }
    return this.#finish();
  }

  /** The results that there are must not be lost, such as when the disk is full. */
  #fail(error: unknown): void {
    if (this.#order.signal.aborted) return;
    const shown = scarceError(error) ?? error;
    if (!(shown instanceof VirtError)) throw error;
    this.#order.screen.warn(shown.message);
    this.#notes.add(`quitting: ${shown.message}`);
    this.#status = EXIT_OTHER;
  }

  async #runAll(running: Set<Promise<void>>): Promise<void> {
    const { jobs, signal } = this.#order;
    while (!signal.aborted && (running.size > 0 || !this.#queue.isEmpty)) {
      while (running.size < jobs && !this.#queue.isEmpty) {
        const share = this.#runShare(this.#queue.take(jobs, this.#times));
        running.add(share);
        share.finally(() => running.delete(share)).catch(() => {});
      }
      await Promise.race(running);
    }
    await Promise.all(running);
  }

  /** Without a test to run: the driver has a sentence and a status for that. */
  async #runNone(): Promise<RunEnd> {
    const { words } = this.#order;
    const run = await this.#start([], words.argv(['test-name', 'skip-test']));
    this.#runs.push(run);
    const { end } = run;
    const end16 = end.signal === null ? end.status : EXIT_TESTBED_FAILURE;
    return this.#finish(run.unfiltered, end16);
  }

  async #runShare(share: readonly Unit[]): Promise<void> {
    const run = await this.#start(share, []);
    this.#runs.push(run);
    const { signal, screen } = this.#order;
    const complete = this.#take(run);
    if (signal.aborted || this.#failing.signal.aborted) return;
    const current =
      run.current === undefined ? undefined : share.find(({ name }) => !complete.has(name))?.name;
    const isPackage = run.end.status === EXIT_BAD_PACKAGE && run.summary.notes.length > 0;
    const { again, lost } = this.#queue.ended(share, { complete, current, mayRetry: !isPackage });
    if (again.length + lost.length === 0) return;
    for (const { name } of [...again, ...lost]) screen.forget(name);
    this.#reportEarlyEnd(run, again, lost);
    if (lost.length === 0) return;
    const why = isPackage ? 'erroneous package' : 'testbed failure';
    this.#lost.push({ why, names: lost.map(({ name }) => name) });
    for (const note of run.summary.notes) this.#notes.add(note);
    this.#status = Math.max(this.#status, statusOfEnd(run.end, isPackage));
  }

  async #start(share: readonly Unit[], more: readonly string[]): Promise<ShareRun> {
    const { folders, packages, signal, log, screen } = this.#order;
    const { debs, tree } = this.#ready.package;
    const setting = share[0]?.setting ?? { network: 'given', prepared: false };
    const folder = folders.next('tests');
    const shown = new Set<string>();
    const run = await runShare(
      {
        ...{
          share,
          debs,
          tree,
          called: packages.find((name) => !name.endsWith('.deb')) ?? '.',
          folder,
          temporary: folders.temporary,
          signal: AbortSignal.any([signal, this.#failing.signal]),
        },
        args: [...this.#ready.args(setting), ...more],
        server: this.#ready.server(setting),
        onStep: (name, step, summary) => {
          if (step !== 'ended') {
            if (step === 'preparing') this.#started.set(name, Date.now());
            screen.step(name, step);
          }
          this.#show(share, summary().results, shown);
        },
      },
      log,
    );
    this.#show(share, run.summary.results, shown);
    rmSync(join(folder, 'tree'), { recursive: true, force: true });
    return run;
  }

  #show(share: readonly Unit[], results: readonly TestResult[], shown: Set<string>): void {
    for (const { name, count } of share) {
      const own = results.filter((result) => result.name === name);
      if (shown.has(name) || own.length < count) continue;
      shown.add(name);
      const started = this.#started.get(name);
      if (started !== undefined) this.#times.push(Date.now() - started);
      for (const result of own) this.#order.screen.result(result);
    }
  }

  /** Gives the names of the tests that have all their results. */
  #take({ share, summary, end }: ShareRun): Set<string> {
    const isWhole = end.signal === null && end.status < EXIT_TESTBED_FAILURE;
    const complete = new Set<string>();
    for (const { name, count } of share) {
      const own = summary.results.filter((result) => result.name === name);
      if (own.length < (isWhole ? 1 : count)) continue;
      this.#results.set(name, own);
      complete.add(name);
    }
    return complete;
  }

  #reportEarlyEnd({ end, summary }: ShareRun, again: readonly Unit[], lost: readonly Unit[]): void {
    const { screen } = this.#order;
    const how =
      end.signal !== null
        ? `was killed by ${end.signal}`
        : `ended with status ${end.status}${summary.notes[0] === undefined ? '' : ` (${summary.notes[0]})`}`;
    const names = (units: readonly Unit[]) => units.map(({ name }) => name).join(', ');
    if (again.length > 0) screen.warn(`a driver ${how}; these tests are run again: ${names(again)}`);
    if (lost.length > 0) screen.warn(`a driver ${how}; these tests have no result: ${names(lost)}`);
  }

  #finish(none?: Summary, status?: number): RunEnd {
    const { output } = this.#order.folders;
    const { units, skipped, folder } = this.#ready;
    const results = units.flatMap(({ name }) => this.#results.get(name) ?? []);
    const isRepeated = (one: TestResult) =>
      results.some(
        ({ name, outcome, reason }) => name === one.name && outcome === one.outcome && reason === one.reason,
      );
    const notes = [
      ...this.#notes,
      ...this.#lost.map(({ why, names }) => `${why}: no result of ${names.join(', ')}`),
    ];
    const summary = none ?? { results: [...skipped.filter((one) => !isRepeated(one)), ...results], notes };
    const position = ({ share }: ShareRun) => share[0]?.position ?? 0;
    const runs = [...this.#runs].sort((one, other) => position(one) - position(other));
    const finished = {
      ...{ folders: [folder, ...runs.map((run) => run.folder)], summary, server: serverLine(this.#order) },
      parts: runs.map((run) => ({
        folder: outputOf(run.folder),
        names: run.share.map(({ name }) => name),
        prepared: run.share[0]?.setting.prepared ?? false,
      })),
    };
    try {
      writeOutput(output, finished);
    } catch (error) {
      this.#fail(error);
    }
    return { status: this.#status > 0 ? this.#status : (status ?? statusOf(summary.results)), summary };
  }
}

function statusOfEnd({ status, signal }: DriverEnd, isPackage: boolean): number {
  if (isPackage) return EXIT_BAD_PACKAGE;
  return signal === null && status === EXIT_OTHER ? EXIT_OTHER : EXIT_TESTBED_FAILURE;
}
