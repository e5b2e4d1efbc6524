/** The table of tests as text: a line a test, cut at the width of the terminal. */
import { printable } from '../log.ts';
import type { Outcome } from './results.ts';

export interface Row {
  readonly name: string;
  readonly state: Outcome | 'running' | 'preparing';
  /** Milliseconds. */
  readonly time: number | undefined;
  readonly reason: string;
}

export interface Layout {
  /** Columns of the terminal. */
  readonly width: number;
  /** Of the longest name. */
  readonly longest: number;
  readonly color: boolean;
}

const STATE = 9;
const TIME = 8;
const LEAST_NAME = 8;

const COLORS: Readonly<Record<Row['state'], number>> = {
  ...{ PASS: 32, FAIL: 31, SKIP: 33, FLAKY: 33, running: 36, preparing: 2 },
};

export function tableHead(layout: Layout): string {
  const text = `${toWidth('TEST', nameWidth(layout))} ${'STATE'.padEnd(STATE)} ${'TIME'.padStart(TIME)}`;
  return colored(cut(text, layout.width), 1, layout);
}

export function tableRow({ name, state, time, reason }: Row, layout: Layout): string {
  const shown = toWidth(clean(name), nameWidth(layout));
  const before = `${shown} `;
  const after = ` ${showDuration(time).padStart(TIME)}${reason === '' ? '' : `  ${clean(reason)}`}`;
  const rest = cut(after, layout.width - before.length - STATE);
  return before + colored(state.padEnd(STATE), COLORS[state], layout) + rest.trimEnd();
}

export function countsLine(
  counts: Readonly<Partial<Record<Outcome, number>>>,
  { total, time, width }: { readonly total: number; readonly time: number; readonly width: number },
): string {
  const words = (
    [
      ['PASS', 'passed'],
      ['FAIL', 'failed'],
      ['FLAKY', 'flaky'],
      ['SKIP', 'skipped'],
    ] as const
  ).flatMap(([outcome, word]) => {
    const count = counts[outcome] ?? 0;
    return count > 0 ? [`${count} ${word}`] : [];
  });
  const done = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return cut([`${done} of ${total}`, ...words, showDuration(time)].join(', '), width);
}

export function showDuration(milliseconds: number | undefined): string {
  if (milliseconds === undefined) return '';
  const seconds = milliseconds / 1000;
  if (seconds < 100) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')} min`;
}

function nameWidth({ width, longest }: Layout): number {
  const room = width - STATE - TIME - 2;
  return Math.max(LEAST_NAME, Math.min(longest, room, Math.max(20, Math.floor(width * 0.5))));
}

/** Names and reasons come from the package. */
function clean(text: string): string {
  return printable(text).replaceAll(/\s/g, ' ').replaceAll(/\p{C}/gu, '?');
}

function toWidth(text: string, width: number): string {
  return cut(text, width).padEnd(width);
}

function cut(text: string, width: number): string {
  const room = Math.max(0, width);
  return text.length <= room ? text : `${text.slice(0, Math.max(0, room - 1))}…`.slice(0, room);
}

function colored(text: string, color: number, layout: Layout): string {
  return layout.color ? `\x1b[${color}m${text}\x1b[0m` : text;
}
