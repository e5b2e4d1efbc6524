/** The processes that were ended because they held the output of an ended command: events "ended" of helper/drain.c. */
import { type HelperEvent, parseEvents } from '../helper.ts';
import type { ProcessLeak } from './leak.ts';
import { commandText } from './text.ts';

export function parseEnded(text: string): ProcessLeak[] {
  return parseEvents(text).flatMap(endedLeak);
}

/** A command line consists of bytes, with a zero byte after each argument. */
export function endedLeak({ event, pid, uid, command }: HelperEvent): ProcessLeak[] {
  return event === 'ended' &&
    typeof pid === 'number' &&
    typeof uid === 'number' &&
    typeof command === 'string'
    ? [{ kind: 'process', pid, uid, command: commandText(command), ended: true }]
    : [];
}
