/**
 * Shows the progress on stderr: on a terminal a table, of which the lines of running tests are drawn again and those of ended tests stay;
 * elsewhere a line for each test.
 */
import { isatty } from 'node:tty';
import type { Log } from '../log.ts';
import { writeToStderr } from '../stderr.ts';
import { type Outcome, resultText, type TestResult } from './results.ts';
import { countsLine, type Layout, type Row, showDuration, tableHead, tableRow } from './table.ts';

export interface Screen {
  /** What is done before the tests. */
  phase(text: string): void;
  begin(names: readonly string[]): void;
  step(name: string, state: 'preparing' | 'running'): void;
  /** The time is that since its last step `preparing`. */
  result(result: TestResult): void;
  /** Of a test whose driver ended. */
  forget(name: string): void;
  warn(text: string): void;
  end(): void;
}

/** Milliseconds. */
const INTERVAL = 200;
const LEAST_WIDTH = 20;

export function openScreen(log: Log, env: Readonly<NodeJS.ProcessEnv>): Screen {
  return isatty(2) && env.TERM !== 'dumb' ? new LiveTable(log, env) : new Lines(log);
}

class Times {
  readonly #started = new Map<string, number>();

  start(name: string): void {
    if (!this.#started.has(name)) this.#started.set(name, Date.now());
  }

  of(name: string): number | undefined {
    const started = this.#started.get(name);
    return started === undefined ? undefined : Date.now() - started;
  }

  end(name: string): number | undefined {
    const time = this.of(name);
    this.#started.delete(name);
    return time;
  }
}

class Lines implements Screen {
  readonly #log: Log;
  readonly #times = new Times();
  #total = 0;
  #done = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  phase(text: string): void {
    this.#log.warn(text);
  }

  begin(names: readonly string[]): void {
    this.#total = names.length;
  }

  step(name: string): void {
    this.#times.start(name);
  }

  result(result: TestResult): void {
    this.#done += 1;
    const time = showDuration(this.#times.end(result.name));
    const text = `${result.name}: ${resultText(result)}${time === '' ? '' : `, ${time}`}`;
    this.#log.warn(`${this.#done} of ${this.#total}: ${text}`);
  }

  forget(name: string): void {
    this.#times.end(name);
  }

  warn(text: string): void {
    this.#log.warn(text);
  }

  end(): void {}
}

class LiveTable implements Screen {
  readonly #log: Log;
  readonly #color: boolean;
  readonly #times = new Times();
  readonly #running = new Map<string, 'preparing' | 'running'>();
  readonly #counts: Partial<Record<Outcome, number>> = {};
  readonly #begun = Date.now();
  readonly #timer: NodeJS.Timeout;
  #phase: string | undefined;
  #total: number | undefined;
  #longest = 0;
  #isEnded = false;
  /** Lines that are drawn again. */
  #drawn = 0;

  constructor(log: Log, env: Readonly<NodeJS.ProcessEnv>) {
    this.#log = log;
    this.#color = (env.NO_COLOR ?? '') === '';
    this.#timer = setInterval(() => this.#draw([]), INTERVAL);
  }

  phase(text: string): void {
    this.#phase = text;
    this.#draw([]);
  }

  begin(names: readonly string[]): void {
    this.#total = names.length;
    this.#longest = Math.max(4, ...names.map((name) => name.length));
    this.#phase = undefined;
    this.#draw([tableHead(this.#layout())]);
  }

  step(name: string, state: 'preparing' | 'running'): void {
    this.#times.start(name);
    this.#running.set(name, state);
    this.#draw([]);
  }

  result({ name, outcome, reason }: TestResult): void {
    this.#running.delete(name);
    this.#counts[outcome] = (this.#counts[outcome] ?? 0) + 1;
    const row: Row = { name, state: outcome, time: this.#times.end(name), reason };
    this.#draw([tableRow(row, this.#layout())]);
  }

  forget(name: string): void {
    this.#running.delete(name);
    this.#times.end(name);
  }

  warn(text: string): void {
    this.#erase();
    this.#log.warn(text);
    this.#draw([]);
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    clearInterval(this.#timer);
    this.#erase();
    if (this.#total !== undefined) writeToStderr(`${this.#count()}\n`);
  }

  #layout(): Layout {
    return { width: this.#width(), longest: this.#longest, color: this.#color };
  }

  /** Without the last column, where some terminals go to the next line. */
  #width(): number {
    return Math.max(LEAST_WIDTH, (process.stderr.columns || 80) - 1);
  }

  #erase(): void {
    if (this.#drawn > 0) writeToStderr(`\r${this.#drawn > 1 ? `\x1b[${this.#drawn - 1}A` : ''}\x1b[J`);
    this.#drawn = 0;
  }

  /** @param lines that stay */
  #draw(lines: readonly string[]): void {
    const layout = this.#layout();
    const room = Math.max(1, (process.stderr.rows || 24) - 2);
    const running = [...this.#running].map(([name, state]) =>
      tableRow({ name, state, time: this.#times.of(name), reason: '' }, layout),
    );
    const shown = running.slice(0, room);
    const last =
      this.#total === undefined
        ? [`${this.#phase ?? ''} (${showDuration(Date.now() - this.#begun)})`.slice(0, layout.width)]
        : [this.#count()];
    const live = [...shown, ...last];
    const erase = this.#drawn > 0 ? `\r${this.#drawn > 1 ? `\x1b[${this.#drawn - 1}A` : ''}\x1b[J` : '';
    writeToStderr(erase + lines.map((line) => `${line}\n`).join('') + live.join('\n'));
    this.#drawn = live.length;
  }

  #count(): string {
    return countsLine(this.#counts, {
      total: this.#total ?? 0,
      time: Date.now() - this.#begun,
      width: this.#width(),
    });
  }
}
