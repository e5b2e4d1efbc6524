/** The processes that an execute program ended because they held the output of an ended command, from its events. */
import { parseEvents } from '../helper.ts';
import type { ProcessLeak } from './leak.ts';
import { commandText } from './text.ts';

/** Reads the events "ended". A command line in them consists of bytes, with a zero byte after each argument. */
export function parseEnded(text: string): ProcessLeak[] {
  const ended = parseEvents(text).filter(({ event }) => event === 'ended');
  return [
    ...ended.map(({ pid, uid, command }) => asLeak(Number(pid), Number(uid), String(command))),
    ...text.split('\n').flatMap(parseLine),
  ];
}

function asLeak(pid: number, uid: number, command: string): ProcessLeak {
  return { kind: 'process', pid, uid, command: commandText(command), ended: true };
}

/** A line of on-host/drain.sh. */
function parseLine(line: string): ProcessLeak[] {
  const [, pid, uid, digits = ''] = /^(\d+) (\d+) ([\da-f ]+)$/.exec(line) ?? [];
  if (pid === undefined) return [];
  const command = Buffer.from(digits.replaceAll(' ', ''), 'hex').toString('latin1');
  return [asLeak(Number(pid), Number(uid), command)];
}
