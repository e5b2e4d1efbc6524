/**
 * What happened, one object an event: lines of `--events=FILE`, and arguments of `onEvent`. docs/events.md describes them and
 * docs/events.schema.json is the same for programs. Times are milliseconds. Imports types only.
 */
import type { Leak } from '../leaks/leak.ts';

/** Raised when a member changes its meaning or goes away. New members and new events do not raise it. */
export const EVENTS_VERSION = 1;

interface EveryEvent {
  readonly v: typeof EVENTS_VERSION;
  /** Of the server, verb or process of the library: distinguishes those that share a file. */
  readonly session: string;
  /** When it began, since 1970. */
  readonly time: number;
}

interface OfTestbed extends EveryEvent {
  /** Number of the testbed in the session. */
  readonly testbed: number;
}

/** Something that took time, and may have failed. */
interface Operation extends OfTestbed {
  readonly duration: number;
  readonly error?: EventFailure;
}

export interface EventFailure {
  readonly code: string;
  readonly message: string;
}

/** A server or verb begins. */
export interface StartEvent extends EveryEvent {
  readonly event: 'start';
  /** `server`, or the name of the verb. */
  readonly program: string;
  readonly version: string;
  readonly pid: number;
  /** The process that started it: of a server the driver. Missing where it cannot be read. */
  readonly caller?: { readonly pid: number; readonly argv: readonly string[] };
}

export interface EndEvent extends EveryEvent {
  readonly event: 'end';
  /** Since the start. */
  readonly duration: number;
  /** Exit status; missing when a signal ended it. */
  readonly status?: number;
}

export interface OpenEvent extends Operation {
  readonly event: 'open';
  /** Host name. */
  readonly name: string;
  /** The root filesystem. Missing when it was not found. */
  readonly root?: string;
  readonly network: 'host' | 'none' | 'private' | 'laboratory';
  /** It was opened from a snapshot. */
  readonly fork?: true;
}

/** A command in the testbed, by whatever way it was started. */
export interface CommandEvent extends OfTestbed {
  readonly event: 'command';
  /** Without the words of the execute command. Bytes that are not UTF-8 became U+FFFD. */
  readonly argv: readonly string[];
  /** Some of the end of argv is missing. */
  readonly truncated?: true;
  readonly duration: number;
  /** 0…253, or 128 + n for death by signal n. Missing when it was not executed, or was killed with its execute program. */
  readonly status?: number;
  /** It was killed with its execute program; `duration` is the time until that was seen. */
  readonly killed?: true;
  /** Processor time of its processes. This and the next three are missing for a killed one. */
  readonly cpu?: number;
  /** Most bytes of memory that one of its processes had. */
  readonly memory?: number;
  /** Bytes that its processes read and wrote, of files, pipes and terminals, as in proc_pid_io(5). */
  readonly read?: number;
  readonly written?: number;
  /** Packages installed before it and after it: the `id` of a PackagesEvent. Missing where dpkg's status could not be read. */
  readonly packages?: { readonly before?: string; readonly after?: string };
}

/** What dpkg's status file has, for the first time in this session. Installed packages only. */
export interface PackagesEvent extends OfTestbed {
  readonly event: 'packages';
  /** Of the list: the same packages have the same id, in each session. */
  readonly id: string;
  /** The list that the next three change; missing: an empty one. */
  readonly base?: string;
  /** Versions by name; packages of a foreign architecture are `name:arch`. */
  readonly installed: Readonly<Record<string, string>>;
  readonly removed: Readonly<Record<string, string>>;
  readonly changed: Readonly<Record<string, { readonly from: string; readonly to: string }>>;
}

export interface CopyEvent extends Operation {
  readonly event: 'copy';
  readonly direction: 'in' | 'out';
  /** On the host; missing for an archive of the library. */
  readonly outside?: string;
  readonly inside: string;
  /** Of the content of files. */
  readonly bytes: number;
  readonly files: number;
}

export interface LeakEvent extends OfTestbed {
  readonly event: 'leak';
  readonly at: 'command' | 'revert' | 'snapshot' | 'close';
  readonly leak: Leak;
}

export interface RevertEvent extends Operation {
  readonly event: 'revert';
}

export interface SnapshotEvent extends Operation {
  readonly event: 'snapshot';
}

export interface RebootEvent extends Operation {
  readonly event: 'reboot';
  /** What did it. */
  readonly by: 'caller' | 'testbed';
}

export interface CommitEvent extends Operation {
  readonly event: 'commit';
  readonly image: string;
}

export interface CloseEvent extends Operation {
  readonly event: 'close';
}

/** A failure that belongs to no operation above, such as a request that cannot be served. */
export interface ErrorEvent extends EveryEvent {
  readonly event: 'error';
  readonly testbed?: number;
  readonly code: string;
  readonly message: string;
}

export type TestbedEvent =
  | StartEvent
  | EndEvent
  | OpenEvent
  | CommandEvent
  | PackagesEvent
  | CopyEvent
  | LeakEvent
  | RevertEvent
  | SnapshotEvent
  | RebootEvent
  | CommitEvent
  | CloseEvent
  | ErrorEvent;

export type OnEvent = (event: TestbedEvent) => void;
