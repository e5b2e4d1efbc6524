/** The processes that an execute program ended because they held the output of an ended command, from its events. */
import { parseEvents } from '../helper.ts';
import type { ProcessLeak } from './leak.ts';
import { commandText } from './text.ts';

/**
 * Reads the events "ended" of helper/drain.c, among others. A command line in them consists of bytes, with a zero byte after
 * each argument.
 */
export function parseEnded(text: string): ProcessLeak[] {
  return parseEvents(text).flatMap(({ event, pid, uid, command }): ProcessLeak[] =>
    event === 'ended' && typeof pid === 'number' && typeof uid === 'number' && typeof command === 'string'
      ? [{ kind: 'process', pid, uid, command: commandText(command), ended: true }]
      : [],
  );
}
