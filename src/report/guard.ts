/** Events from a file: only those with the members that a report uses. Pure. */
import { EVENTS_VERSION, type TestbedEvent } from '../events/types.ts';
import { isRecord } from '../processes/claims.ts';

type Kind = 'text' | 'number' | 'texts' | 'record' | 'flag';
type Members = Readonly<Record<string, Kind>>;

/** A `?` at the end of a name: may be missing. */
const MEMBERS: Readonly<Record<TestbedEvent['event'], Members>> = {
  start: { program: 'text', version: 'text', pid: 'number', 'caller?': 'record' },
  end: { duration: 'number', 'status?': 'number', 'caller?': 'record' },
  wait: { duration: 'number', until: 'text' },
  open: { ...operation(), name: 'text', 'root?': 'text', network: 'text' },
  command: {
    ...{ ...operation(), argv: 'texts', 'status?': 'number', 'killed?': 'flag', 'packages?': 'record' },
    ...{ 'cpu?': 'number', 'memory?': 'number', 'read?': 'number', 'written?': 'number' },
  },
  packages: {
    ...{ testbed: 'number', id: 'text', 'base?': 'text' },
    ...{ installed: 'record', removed: 'record', changed: 'record' },
  },
  copy: { ...operation(), direction: 'text', inside: 'text', 'outside?': 'text', bytes: 'number' },
  leak: { testbed: 'number', at: 'text', leak: 'record' },
  revert: operation(),
  snapshot: operation(),
  reboot: { ...operation(), by: 'text' },
  commit: { ...operation(), image: 'text' },
  close: operation(),
  error: { code: 'text', message: 'text' },
};

function operation(): Members {
  return { testbed: 'number', duration: 'number', 'error?': 'record' };
}

const FITS: Readonly<Record<Kind, (value: unknown) => boolean>> = {
  text: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number' && Number.isFinite(value),
  flag: (value) => typeof value === 'boolean',
  texts: (value) => Array.isArray(value) && value.every((each) => typeof each === 'string'),
  record: isRecord,
};

export interface Parsed {
  readonly events: readonly TestbedEvent[];
  /** Lines that are no event of this version. */
  readonly strange: number;
}

export function parseEventLines(text: string): Parsed {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const events = lines.flatMap((line) => parseLine(line) ?? []);
  return { events, strange: lines.length - events.length };
}

function parseLine(line: string): TestbedEvent | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isEvent(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isEvent(value: unknown): value is TestbedEvent {
  if (!isRecord(value) || value.v !== EVENTS_VERSION || typeof value.event !== 'string') return false;
  if (typeof value.session !== 'string' || !FITS.number(value.time)) return false;
  const known: Readonly<Record<string, Members>> = MEMBERS;
  if (!Object.hasOwn(known, value.event)) return false;
  return Object.entries(known[value.event] ?? {}).every(([word, kind]) => {
    const name = word.replace('?', '');
    return (word !== name && value[name] === undefined) || FITS[kind](value[name]);
  });
}
