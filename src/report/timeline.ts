/** What ran when: a track for each server of the same time, with bars in percent of the width, so it fits every screen. */
import { scaleLinear } from 'd3-scale';
import { element, type Piece, shown, tag } from './elements.ts';
import type { Session, Span } from './model.ts';
import type { Run } from './run.ts';
import { seconds } from './text.ts';

/** Percent of the width below which a bar is not drawn, unless it is one of a test. */
const SMALLEST = 0.04;
/** Percent between two bars of one kind that become one. */
const JOINT = 0.15;
const TICKS = 6;

export function timeline(run: Run): Piece {
  const place = scaleLinear()
    .domain([0, Math.max(1, run.to - run.from) / 1000])
    .range([0, 100]);
  const at = (time: number) => place((time - run.from) / 1000);
  const failed = new Set(run.tests.filter(({ passed }) => !passed).map(({ name }) => name));
  const tracks = lanes(run.sessions).map((sessions, index) =>
    element(
      'div',
      'lane',
      element('span', '', String(index + 1)),
      element('div', 'track', ...sessions.flatMap((session) => sessionBars(session, at, failed))),
    ),
  );
  const ticks = place
    .ticks(TICKS)
    .map((tick) =>
      tag(
        'span',
        { class: place(tick) > 94 ? 'last' : '', style: `left:${round(place(tick))}%` },
        `${tick} s`,
      ),
    );
  return element('div', 'card', ...tracks, element('div', 'axis', ...ticks));
}

/** Sessions one after the other share a lane, so the lanes are what ran at the same time. */
export function lanes(sessions: readonly Session[]): Session[][] {
  const made: Session[][] = [];
  for (const session of sessions) {
    const free = made.find((lane) => (lane.at(-1)?.to ?? 0) <= session.from);
    if (free === undefined) made.push([session]);
    else free.push(session);
  }
  return made;
}

type At = (time: number) => number;

function sessionBars(session: Session, at: At, failed: ReadonlySet<string>): Piece[] {
  const whole = tag('div', {
    class: 'session',
    style: placed(at(session.from), at(session.to)),
    title: `${shown(`${session.program} ${session.id}`)}, ${seconds(session.to - session.from)}`,
  });
  // The driver's own time is the background.
  const spans = session.spans.filter(({ kind }) => kind !== 'driver');
  return [whole, ...joined(spans, at).map((bar) => barOf(bar, failed))];
}

interface Bar {
  readonly span: Span;
  readonly count: number;
  readonly left: number;
  readonly right: number;
}

export function joined(spans: readonly Span[], at: At): Bar[] {
  const bars: Bar[] = [];
  for (const span of spans) {
    const bar = { span, count: 1, left: at(span.from), right: at(span.to) };
    const last = bars.at(-1);
    const goesOn = last !== undefined && span.kind === last.span.kind && bar.left - last.right < JOINT;
    if (goesOn && span.kind !== 'test') {
      bars[bars.length - 1] = { ...last, count: last.count + 1, right: Math.max(last.right, bar.right) };
    } else bars.push(bar);
  }
  return bars.filter(({ span, left, right }) => span.kind === 'test' || right - left >= SMALLEST);
}

function barOf({ span, count, left, right }: Bar, failed: ReadonlySet<string>): Piece {
  const isTest = span.kind === 'test';
  const classes = [
    'bar',
    `k-${span.kind}`,
    isTest ? 'test' : '',
    isTest && failed.has(span.label) ? 'failed' : '',
  ];
  const what = count === 1 ? shown(span.label).slice(0, 300) : `${count} × ${span.kind}`;
  return tag(
    'div',
    {
      class: classes.filter((word) => word !== '').join(' '),
      style: placed(left, right),
      title: `${what}, ${seconds(span.to - span.from)}`,
    },
    isTest && right - left > 3 ? shown(span.label) : null,
  );
}

function placed(left: number, right: number): string {
  return `left:${round(left)}%;width:${round(Math.max(0, right - left))}%`;
}

function round(number: number): number {
  return Math.round(number * 1000) / 1000;
}
