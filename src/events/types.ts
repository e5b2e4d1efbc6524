/**
 * What happened, one object an event: lines of `--events=FILE`, and arguments of `onEvent`. docs/events.md describes them and
 * docs/events.schema.json is the same for programs. Times are milliseconds. Imports types only.
 */
import type { Leak } from '../leaks/leak.ts';

/** Raised when a member changes its meaning or goes away. New members and new events do not raise it. */
export const EVENTS_VERSION = 1;

interface EveryEvent {
  /** Version of the format. */
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
  /** How long it took. */
  readonly duration: number;
  /** Why it failed; missing when it did not. */
  readonly error?: EventFailure;
}

/** Why something failed. */
export interface EventFailure {
  /** A word to compare, that of the error. */
  readonly code: string;
  /** One sentence. */
  readonly message: string;
}

/** A server or verb begins. */
export interface StartEvent extends EveryEvent {
  /** The kind. */
  readonly event: 'start';
  /** `server`, or the name of the verb. */
  readonly program: string;
  /** Of the program. */
  readonly version: string;
  /** Its process. */
  readonly pid: number;
  /** The process that started it: of a server the driver. Missing where it cannot be read. */
  readonly caller?: {
    /** Its process. */
    readonly pid: number;
    /** Its command line. */
    readonly argv: readonly string[];
  };
}

/** A server or verb ended. */
export interface EndEvent extends EveryEvent {
  /** The kind. */
  readonly event: 'end';
  /** Since the start. */
  readonly duration: number;
  /** Exit status; missing when a signal ended it. */
  readonly status?: number;
  /** Of a server: the process that started it. Missing where it cannot be read. */
  readonly caller?: {
    /** Processor time of it alone, since it began. */
    readonly cpu: number;
  };
}

/** Nothing was asked of a server, and no command ran: the driver itself worked, or slept. */
export interface WaitEvent extends EveryEvent {
  /** The kind. */
  readonly event: 'wait';
  /** How long it took, at least a millisecond. */
  readonly duration: number;
  /** The event that ended it. `start`: the time between the beginning of the driver and that of the server. */
  readonly until:
    | 'start'
    | 'open'
    | 'command'
    | 'copy'
    | 'revert'
    | 'snapshot'
    | 'reboot'
    | 'commit'
    | 'close'
    | 'end';
}

/** A testbed was opened. */
export interface OpenEvent extends Operation {
  /** The kind. */
  readonly event: 'open';
  /** Host name. */
  readonly name: string;
  /** The root filesystem. Missing when it was not found. */
  readonly root?: string;
  /** The kind of its network. */
  readonly network: 'host' | 'none' | 'private' | 'laboratory';
  /** It was opened from a snapshot. */
  readonly fork?: true;
}

/** A command in the testbed, by whatever way it was started. */
export interface CommandEvent extends OfTestbed {
  /** The kind. */
  readonly event: 'command';
  /** Without the words of the execute command. Bytes that are not UTF-8 became U+FFFD. */
  readonly argv: readonly string[];
  /** Some of the end of argv is missing. */
  readonly truncated?: true;
  /** Until all its output was written. */
  readonly duration: number;
  /** 0…253, or 128 + n for death by signal n. Missing when it was not executed, or was killed with its execute program. */
  readonly status?: number;
  /** It was killed with its execute program; `duration` is the time until that was seen. */
  readonly killed?: true;
  /** Processor time of its processes. This and the next three are missing for a killed one. */
  readonly cpu?: number;
  /** Most bytes of memory that one of its processes had. */
  readonly memory?: number;
  /** Bytes that its processes read, of files, pipes and terminals, as in proc_pid_io(5). Missing for a command that ended at once, as `written`. */
  readonly read?: number;
  /** Bytes that they wrote. */
  readonly written?: number;
  /** Packages installed before it and after it: the `id` of a PackagesEvent. Missing where dpkg's status could not be read. */
  readonly packages?: {
    /** The list when it started. */
    readonly before?: string;
    /** The list when it ended. */
    readonly after?: string;
  };
}

/** What dpkg's status file has, for the first time in this session. Installed packages only. */
export interface PackagesEvent extends OfTestbed {
  /** The kind. */
  readonly event: 'packages';
  /** Of the list: the same packages have the same id, in each session. */
  readonly id: string;
  /** The list that the next three change; missing: an empty one. */
  readonly base?: string;
  /** More than in `base`: versions by name; packages of a foreign architecture are `name:arch`. */
  readonly installed: Readonly<Record<string, string>>;
  /** Less than in `base`. */
  readonly removed: Readonly<Record<string, string>>;
  /** With another version than in `base`. */
  readonly changed: Readonly<
    Record<
      string,
      {
        /** The version in `base`. */
        readonly from: string;
        /** The version in this list. */
        readonly to: string;
      }
    >
  >;
}

/** A file or directory was copied. */
export interface CopyEvent extends Operation {
  /** The kind. */
  readonly event: 'copy';
  /** Into the testbed, or out of it. */
  readonly direction: 'in' | 'out';
  /** Path on the host; missing for an archive of the library. */
  readonly outside?: string;
  /** Path in the testbed. */
  readonly inside: string;
  /** Of the content of files. */
  readonly bytes: number;
  /** Files, directories and links. */
  readonly files: number;
}

/** Something was left behind. */
export interface LeakEvent extends OfTestbed {
  /** The kind. */
  readonly event: 'leak';
  /** When it was found: after the command, or before the others. */
  readonly at: 'command' | 'revert' | 'snapshot' | 'close';
  /** What it is. */
  readonly leak: Leak;
}

/** The testbed went back to its state at open, or at the last snapshot. */
export interface RevertEvent extends Operation {
  /** The kind. */
  readonly event: 'revert';
}

/** The files of the testbed were kept. */
export interface SnapshotEvent extends Operation {
  /** The kind. */
  readonly event: 'snapshot';
}

/** The testbed was rebooted. */
export interface RebootEvent extends Operation {
  /** The kind. */
  readonly event: 'reboot';
  /** What did it. */
  readonly by: 'caller' | 'testbed';
}

/** An image was made of the testbed. */
export interface CommitEvent extends Operation {
  /** The kind. */
  readonly event: 'commit';
  /** Its name. */
  readonly image: string;
}

/** The testbed was removed. */
export interface CloseEvent extends Operation {
  /** The kind. */
  readonly event: 'close';
}

/** A failure that belongs to no operation above, such as a request that cannot be served. */
export interface ErrorEvent extends EveryEvent {
  /** The kind. */
  readonly event: 'error';
  /** The testbed that it is about. */
  readonly testbed?: number;
  /** A word to compare. */
  readonly code: string;
  /** One sentence. */
  readonly message: string;
}

/** Something that happened; `event` is the kind. */
export type TestbedEvent =
  | StartEvent
  | EndEvent
  | WaitEvent
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

/** Gets the events of testbeds. It must not throw. */
export type OnEvent = (event: TestbedEvent) => void;
