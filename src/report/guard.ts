/** Events from a file: only those with the members that a report uses. Pure. */
import { EVENTS_VERSION, type TestbedEvent } from '../events/types.ts';
import type { Leak } from '../leaks/leak.ts';
import { isRecord } from '../processes/claims.ts';

type Kind = 'text' | 'number' | 'texts' | 'flag' | 'versions' | 'changes' | 'leak' | Members;
interface Members {
  readonly [name: string]: Kind;
}

/** A `?` at the end of a name: may be missing. */
const MEMBERS: Readonly<Record<TestbedEvent['event'], Members>> = {
  start: { program: 'text', version: 'text', pid: 'number', 'caller?': { argv: 'texts' } },
  end: { duration: 'number', 'status?': 'number', 'caller?': { cpu: 'number' } },
  wait: { duration: 'number', until: 'text' },
  open: { ...operation(), name: 'text', 'root?': 'text', network: 'text' },
  command: {
    ...{ ...operation(), argv: 'texts', 'status?': 'number', 'killed?': 'flag' },
    'packages?': { 'before?': 'text', 'after?': 'text' },
    ...{ 'cpu?': 'number', 'memory?': 'number', 'read?': 'number', 'written?': 'number' },
  },
  packages: {
    ...{ testbed: 'number', id: 'text', 'base?': 'text' },
    ...{ installed: 'versions', removed: 'versions', changed: 'changes' },
  },
  copy: { ...operation(), direction: 'text', inside: 'text', 'outside?': 'text', bytes: 'number' },
  leak: { testbed: 'number', at: 'text', leak: 'leak' },
  revert: operation(),
  snapshot: operation(),
  reboot: { ...operation(), by: 'text' },
  commit: { ...operation(), image: 'text' },
  close: operation(),
  error: { code: 'text', message: 'text' },
};

function operation(): Members {
  return { testbed: 'number', duration: 'number', 'error?': { code: 'text', message: 'text' } };
}

const LEAKS: Readonly<Record<Leak['kind'], Members>> = {
  file: { path: 'text', type: 'text', uid: 'number', size: 'number' },
  mount: { path: 'text', type: 'text', source: 'text' },
  process: { pid: 'number', uid: 'number', command: 'text' },
  ipc: { type: 'text', id: 'text', uid: 'number', size: 'number' },
  interface: { name: 'text' },
  unit: { name: 'text', state: 'text' },
};

/** Milliseconds since 1970 that a Date may have. */
const LARGEST = 8.64e15;

const isText = (value: unknown) => typeof value === 'string';

const FITS: Readonly<Record<Extract<Kind, string>, (value: unknown) => boolean>> = {
  text: isText,
  number: (value) => typeof value === 'number' && Math.abs(value) <= LARGEST,
  flag: (value) => typeof value === 'boolean',
  texts: (value) => Array.isArray(value) && value.every(isText),
  versions: (value) => isRecord(value) && Object.values(value).every(isText),
  changes: (value) =>
    isRecord(value) && Object.values(value).every((each) => fits(each, { from: 'text', to: 'text' })),
  leak: (value) => isRecord(value) && fits(value, membersOf(LEAKS, value.kind)),
};

/** Of a kind that a newer version has: none. */
function membersOf(all: Readonly<Record<string, Members>>, kind: unknown): Members | undefined {
  return typeof kind === 'string' && Object.hasOwn(all, kind) ? all[kind] : undefined;
}

function fits(value: unknown, kind: Kind | undefined): boolean {
  if (kind === undefined) return false;
  if (typeof kind === 'string') return FITS[kind](value);
  return (
    isRecord(value) &&
    Object.entries(kind).every(([word, each]) => {
      const name = word.replace('?', '');
      return (word !== name && value[name] === undefined) || fits(value[name], each);
    })
  );
}

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
  if (!isRecord(value) || value.v !== EVENTS_VERSION) return false;
  return fits(value, { session: 'text', time: 'number' }) && fits(value, membersOf(MEMBERS, value.event));
}
