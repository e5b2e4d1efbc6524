/** The native program (helper/): where it is, and what it reports, a JSON object a line. */
import { accessSync, constants } from 'node:fs';
import { TestbedError } from './errors.ts';
import { packageRoot } from './scripts.ts';

/** The sub-commands; the head of each file in helper/ has their arguments. */
export type HelperCommand =
  | 'abort-fuse'
  | 'copy'
  | 'enter'
  | 'exec'
  | 'hold'
  | 'isolate'
  | 'look'
  | 'unstage';

/** The words that start a sub-command. */
export function helperWords(command: HelperCommand, ...args: readonly string[]): [string, ...string[]] {
  return [helperPath(), command, ...args];
}

let known: string | undefined;

/** @throws TestbedError when the build has not compiled it for this machine */
export function helperPath(): string {
  if (known !== undefined) return known;
  const path = `${packageRoot()}/dist/helper-${process.arch}`;
  try {
    accessSync(path, constants.X_OK);
  } catch (cause) {
    throw new TestbedError(`the program ${path} is missing or may not be executed`, {
      code: 'NO_HELPER',
      remedy: 'build it with npm run build, which needs gcc and libc6-dev',
      cause,
    });
  }
  known = path;
  return path;
}

/** One line of the helper's. Texts are bytes as Latin-1: names of the testbed's need not be UTF-8. */
export interface HelperEvent {
  readonly event: string;
  readonly [member: string]: string | number;
}

/** The event "failed", with which a sub-command says why it could not do what it was asked for. */
export interface HelperFailure extends HelperEvent {
  readonly event: 'failed';
  readonly code: string;
  /** What failed, as "mounting an overlay". */
  readonly what: string;
}

/** Reads one line; undefined when it is no event of ours, such as a tool's own complaint. */
export function parseEvent(line: string): HelperEvent | undefined {
  if (!line.startsWith('{"event":')) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return isEvent(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The events in a text, in their order. */
export function parseEvents(text: string): HelperEvent[] {
  return text.split('\n').flatMap((line) => parseEvent(line) ?? []);
}

function isEvent(value: unknown): value is HelperEvent {
  if (typeof value !== 'object' || value === null || !('event' in value)) return false;
  return Object.values(value).every((member) => typeof member === 'string' || typeof member === 'number');
}

export function isFailure(event: HelperEvent): event is HelperFailure {
  return event.event === 'failed' && typeof event.code === 'string' && typeof event.what === 'string';
}

/** The sentence of a failure, without its remedy: `mounting overlay on / failed: Invalid argument`. */
export function failureText({ what, on, reason }: HelperFailure): string {
  const subject = on === undefined ? what : `${what} ${on}`;
  return reason === undefined ? `${subject} failed` : `${subject} failed: ${reason}`;
}
