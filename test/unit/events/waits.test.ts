import assert from 'node:assert/strict';
import type { TestbedEvent, WaitEvent } from '../../../src/events/types.ts';
import { watchWaits } from '../../../src/events/waits.ts';
import { only } from '../../support/event-schema.ts';

const common = { v: 1, session: '0123456789ab', testbed: 1 } as const;
const command = (time: number, duration: number): TestbedEvent => ({
  ...{ ...common, event: 'command', argv: ['x'], time, duration },
});
const revert = (time: number, duration: number): TestbedEvent => ({
  ...{ ...common, event: 'revert', time, duration },
});

/** Times of the events `wait` of a session that began at 1000 and ended at `end`. */
function waitsOf(events: readonly TestbedEvent[], end: number): [number, number, WaitEvent['until']][] {
  const got: TestbedEvent[] = [];
  const waits = watchWaits((event) => got.push(event), 1000);
  for (const event of events) waits.onEvent(event);
  waits.end(end);
  assert.deepEqual(
    got.filter(({ event }) => event !== 'wait'),
    events,
  );
  return only('wait', got).map(({ time, duration, until }) => [time, time + duration, until]);
}

describe('the waits of a server', () => {
  it('are the time between what it was asked, also between commands that a driver starts itself', () => {
    assert.deepEqual(waitsOf([command(1100, 50), command(1200, 100), revert(1400, 10)], 1500), [
      [1000, 1100, 'command'],
      [1150, 1200, 'command'],
      [1300, 1400, 'revert'],
      [1410, 1500, 'end'],
    ]);
  });

  it('are none where commands run at the same time, or one goes on during an operation', () => {
    const nested = [command(1010, 10), command(1000, 100), revert(1100, 100), command(1050, 200)];
    assert.deepEqual(waitsOf(nested, 1300), [[1250, 1300, 'end']]);
  });

  it('are at least a millisecond long', () => {
    assert.deepEqual(waitsOf([revert(1000.9, 10)], 1011.5), []);
  });
});
