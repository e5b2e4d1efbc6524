/** The events of a server or verb: its file, start and end. */
import { readFileSync } from 'node:fs';
import { messageOf, VirtError } from '../errors.ts';
import type { Log } from '../log.ts';
import { processTimes } from '../processes/stat.ts';
import { packageRoot } from '../scripts.ts';
import { openEventFile } from './file.ts';
import { now, rounded, send } from './session.ts';
import type { OnEvent, StartEvent } from './types.ts';
import { watchWaits } from './waits.ts';

/** Milliseconds. An older process was not started for this server: it is no driver. */
const OLDEST_DRIVER = 10_000;

export interface ProgramEvents {
  readonly onEvent: OnEvent;
  /** A failure that belongs to no testbed. */
  failed(error: unknown): void;
  end(status?: number): void;
}

export function startEvents(path: string, program: string, log: Log): ProgramEvents {
  const file = openEventFile(path, log);
  const { onEvent } = file;
  const time = now();
  const caller = callerOf(process.ppid);
  send(onEvent, {
    ...{ event: 'start', time, program, version: ownVersion(), pid: process.pid },
    ...(caller === undefined ? {} : { caller }),
  });
  const waits = program === 'server' ? watchWaits(onEvent, time) : undefined;
  const age = waits === undefined ? undefined : processTimes(process.ppid)?.age;
  if (age !== undefined && age < OLDEST_DRIVER) {
    const duration = rounded(Math.max(0, age - (now() - time)));
    send(onEvent, { event: 'wait', time: rounded(time - duration), duration, until: 'start' });
  }
  return {
    onEvent: waits?.onEvent ?? onEvent,
    failed: (error) => {
      const code = error instanceof VirtError ? error.code : 'INTERNAL';
      send(onEvent, { event: 'error', time: now(), code, message: messageOf(error) });
    },
    end: (status) => {
      const ended = now();
      waits?.end(ended);
      const cpu = waits === undefined ? undefined : processTimes(process.ppid)?.cpu;
      send(onEvent, {
        ...{ event: 'end', time: ended, duration: rounded(ended - time) },
        ...(status === undefined ? {} : { status }),
        ...(cpu === undefined ? {} : { caller: { cpu } }),
      });
      file.close();
    },
  };
}

function ownVersion(): string {
  const about: unknown = JSON.parse(readFileSync(`${packageRoot()}/package.json`, 'utf8'));
  return typeof about === 'object' && about !== null && 'version' in about ? String(about.version) : '';
}

function callerOf(pid: number): StartEvent['caller'] {
  try {
    const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
    return argv.length === 0 ? undefined : { pid, argv };
  } catch {
    return undefined;
  }
}
