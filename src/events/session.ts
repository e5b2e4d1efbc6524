/** What the events of this process have in common. */
import { randomBytes } from '../random.ts';
import { EVENTS_VERSION, type OnEvent, type TestbedEvent } from './types.ts';

/** `Omit` of each member of a union. */
type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

export type EventFacts = Without<TestbedEvent, 'v' | 'session'>;

let session: string | undefined;
let testbeds = 0;

export function nextTestbed(): number {
  testbeds += 1;
  return testbeds;
}

export function send(onEvent: OnEvent, facts: EventFacts): void {
  session ??= randomBytes(6).toString('hex');
  onEvent({ v: EVENTS_VERSION, session, ...facts });
}

const ORIGIN = Date.now() - performance.now();

/** Milliseconds since 1970, with parts of one; does not go back when the clock is set. */
export function now(): number {
  return rounded(ORIGIN + performance.now());
}

export function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
