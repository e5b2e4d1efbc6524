/** Events about the time in which a driver asks nothing of its server. */
import { rounded, send } from './session.ts';
import type { OnEvent, TestbedEvent, WaitEvent } from './types.ts';

/** Milliseconds. */
const SHORTEST = 1;

export interface Waits {
  /** Takes the events of testbeds. */
  readonly onEvent: OnEvent;
  end(time: number): void;
}

type Operation = Extract<
  TestbedEvent,
  { readonly event: Exclude<WaitEvent['until'], 'start' | 'command' | 'end'> }
>;

/**
 * Before the event of an operation come those of all commands that had ended when it began, so the time between them is known then.
 * @param begin when the server began
 */
export function watchWaits(onEvent: OnEvent, begin: number): Waits {
  let from = begin;
  let commands: { readonly time: number; readonly duration: number }[] = [];
  const wait = (to: number, until: WaitEvent['until']) => {
    if (to - from >= SHORTEST) {
      send(onEvent, { event: 'wait', time: from, duration: rounded(to - from), until });
    }
    from = Math.max(from, to);
  };
  const upTo = (to: number, until: WaitEvent['until']) => {
    for (const { time, duration } of commands.sort((one, other) => one.time - other.time)) {
      wait(time, 'command');
      from = Math.max(from, rounded(time + duration));
    }
    commands = [];
    wait(to, until);
  };
  return {
    onEvent: (event) => {
      if (event.event === 'command') commands.push(event);
      if (isOperation(event)) {
        upTo(event.time, event.event);
        from = Math.max(from, rounded(event.time + event.duration));
      }
      onEvent(event);
    },
    end: (time) => upTo(time, 'end'),
  };
}

function isOperation(event: TestbedEvent): event is Operation {
  return 'duration' in event && !['command', 'end', 'wait'].includes(event.event);
}
