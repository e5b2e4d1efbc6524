/** Where the time of a session went. Pure. */
import type { Session, Span, SpanKind } from './model.ts';

export type TimeKind = SpanKind | 'unknown';

export interface Times {
  /** Milliseconds from the start to the end. */
  readonly wall: number;
  /** Of the wall time. They sum up to it; `unknown` has no event. */
  readonly of: Readonly<Record<TimeKind, number>>;
}

export const TIME_KINDS = [
  'testbed',
  'packages',
  'build',
  'test',
  'command',
  'copy',
  'driver',
  'unknown',
] as const satisfies readonly TimeKind[];

/** A moment in which several testbeds of a session work counts once, for the span that began last. */
export function timesOf({ from, to, spans }: Pick<Session, 'from' | 'to' | 'spans'>): Times {
  const of = noTime();
  const moments = [...new Set([from, to, ...spans.flatMap((span) => [span.from, span.to])])]
    .filter((moment) => moment >= from && moment <= to)
    .sort((a, b) => a - b);
  const open = new Set<Span>();
  let next = 0;
  for (const [index, moment] of moments.entries()) {
    for (let span = spans[next]; span !== undefined && span.from <= moment; span = spans[next]) {
      open.add(span);
      next += 1;
    }
    for (const span of open) if (span.to <= moment) open.delete(span);
    // A command that was killed may have lasted shorter than its event, and a wait is what nothing else explains.
    const last = [...open].findLast(({ kind }) => kind !== 'driver') ?? [...open].at(-1);
    of[last?.kind ?? 'unknown'] += (moments[index + 1] ?? moment) - moment;
  }
  return { wall: to - from, of };
}

export function noTime(): Record<TimeKind, number> {
  return { test: 0, packages: 0, build: 0, command: 0, testbed: 0, copy: 0, driver: 0, unknown: 0 };
}

/** Between two events there are always some microseconds. */
const LEAST_UNKNOWN = 0.0005;

export function isShown(kind: TimeKind, { wall, of }: Times): boolean {
  return of[kind] > (kind === 'unknown' ? LEAST_UNKNOWN * wall : 0);
}

/** The part of the wall time that events explain. */
export function explained({ wall, of }: Times): number {
  return wall === 0 ? 1 : 1 - of.unknown / wall;
}
