/** A run as its events describe it: sessions, what each testbed did when, and tests. Pure. */
import type { CommandEvent, EventFailure, TestbedEvent } from '../events/types.ts';
import type { Leak } from '../leaks/leak.ts';
import { type Purpose, purposeOf, testOf } from './classify.ts';

/** What time was spent on; `driver`: the driver asked for nothing. */
export type SpanKind = Purpose | 'testbed' | 'copy' | 'driver';

export interface Span {
  readonly kind: SpanKind;
  /** Name of the event. */
  readonly event: TestbedEvent['event'];
  readonly from: number;
  readonly to: number;
  readonly label: string;
  readonly status?: number;
  readonly killed?: true;
  readonly error?: EventFailure;
}

export interface TestRun {
  readonly name: string;
  readonly session: string;
  readonly testbed: number;
  readonly from: number;
  readonly to: number;
  /** Of the time between, without reboots. */
  readonly duration: number;
  /** Processor time. */
  readonly cpu: number;
  /** Of the last command: a test that reboots has several. Missing when it was killed. */
  readonly status?: number;
  /** Time that packages took since the test before it, or the last revert. */
  readonly packagesTime: number;
  /** Ids of the lists of packages. */
  readonly before?: string;
  readonly after?: string;
  /** Also of the tests before it in the same state of the testbed. */
  readonly leaks: readonly Leak[];
}

export interface Session {
  readonly id: string;
  readonly program: string;
  readonly caller: readonly string[];
  readonly from: number;
  readonly to: number;
  /** In the order of their beginning. */
  readonly spans: readonly Span[];
  readonly tests: readonly TestRun[];
  readonly leaks: readonly Leak[];
  readonly errors: readonly EventFailure[];
  /** Processor time of the driver itself. */
  readonly callerCpu: number | undefined;
  /** Whether its end is known. */
  readonly ended: boolean;
  readonly root: string | undefined;
}

export function sessionsOf(events: readonly TestbedEvent[]): Session[] {
  const bySession = new Map<string, TestbedEvent[]>();
  for (const event of events) {
    const own = bySession.get(event.session) ?? [];
    own.push(event);
    bySession.set(event.session, own);
  }
  return [...bySession].map(([id, own]) => sessionOf(id, own)).sort((a, b) => a.from - b.from);
}

function sessionOf(id: string, events: readonly TestbedEvent[]): Session {
  const start = events.find((event) => event.event === 'start');
  const end = events.find((event) => event.event === 'end');
  const open = events.find((event) => event.event === 'open');
  const spans = events.flatMap(spanOf).sort((a, b) => a.from - b.from);
  return {
    ...{ id, spans, tests: testsOf(id, events) },
    program: start?.program ?? 'library',
    caller: start?.caller?.argv ?? [],
    from: events.reduce((least, { time }) => Math.min(least, time), Number.POSITIVE_INFINITY),
    to: events.reduce((most, event) => Math.max(most, event.event === 'end' ? event.time : endOf(event)), 0),
    leaks: events.flatMap((event) => (event.event === 'leak' && !isOfDriver(event.leak) ? [event.leak] : [])),
    errors: events.flatMap((event) => (event.event === 'error' ? [event] : [])),
    callerCpu: end?.caller?.cpu,
    ended: end !== undefined,
    root: open?.root,
  };
}

/** autopkgtest puts these links there. */
function isOfDriver(leak: Leak): boolean {
  return leak.kind === 'file' && /^\/tmp\/autopkgtest-reboot(-prepare)?$/.test(leak.path);
}

function endOf(event: TestbedEvent): number {
  return event.time + ('duration' in event ? event.duration : 0);
}

function spanOf(event: TestbedEvent): Span[] {
  if (event.event === 'start' || event.event === 'end' || !('duration' in event)) return [];
  const common = { event: event.event, from: event.time, to: endOf(event) };
  if (event.event === 'wait') return [{ ...common, kind: 'driver', label: `until ${event.until}` }];
  if (event.event === 'command') {
    const { status, killed } = event;
    return [
      {
        ...{ ...common, kind: purposeOf(event), label: testOf(event) ?? event.argv.join(' ') },
        ...(status === undefined ? {} : { status }),
        ...(killed === undefined ? {} : { killed }),
      },
    ];
  }
  const error = event.error === undefined ? {} : { error: event.error };
  if (event.event === 'copy') return [{ ...common, ...error, kind: 'copy', label: event.inside }];
  return [{ ...common, ...error, kind: 'testbed', label: event.event }];
}

/** What a testbed has at present. */
interface State {
  packagesTime: number;
  /** Since open or the last revert. */
  tests: Draft[];
}

type Draft = { -readonly [K in keyof TestRun]: TestRun[K] } & { leaks: Leak[] };

function testsOf(session: string, events: readonly TestbedEvent[]): TestRun[] {
  const states = new Map<number, State>();
  const tests: Draft[] = [];
  for (const event of events) {
    if (!('testbed' in event) || event.testbed === undefined) continue;
    const state = states.get(event.testbed) ?? { packagesTime: 0, tests: [] };
    states.set(event.testbed, state);
    if (event.event === 'leak' && !isOfDriver(event.leak)) {
      for (const test of state.tests) test.leaks.push(event.leak);
    }
    if (event.event === 'revert') states.delete(event.testbed);
    if (event.event !== 'command') continue;
    const name = testOf(event);
    const last = state.tests.at(-1);
    if (name === undefined) {
      if (purposeOf(event) === 'packages') state.packagesTime += event.duration;
    } else if (last?.name === name) goOn(last, event);
    else {
      const test = draftOf(event, { name, session, packagesTime: state.packagesTime });
      tests.push(test);
      state.tests.push(test);
      state.packagesTime = 0;
    }
  }
  return tests;
}

function draftOf(event: CommandEvent, known: Pick<TestRun, 'name' | 'session' | 'packagesTime'>): Draft {
  const { before, after } = event.packages ?? {};
  return {
    ...{ ...known, testbed: event.testbed, from: event.time, to: endOf(event) },
    ...{ duration: event.duration, cpu: event.cpu ?? 0, leaks: [] },
    ...(event.status === undefined ? {} : { status: event.status }),
    ...(before === undefined ? {} : { before }),
    ...(after === undefined ? {} : { after }),
  };
}

/** The same test after a reboot. */
function goOn(test: Draft, event: CommandEvent): void {
  test.to = endOf(event);
  test.duration += event.duration;
  test.cpu += event.cpu ?? 0;
  delete test.status;
  if (event.status !== undefined) test.status = event.status;
  if (event.packages?.after !== undefined) test.after = event.packages.after;
}
