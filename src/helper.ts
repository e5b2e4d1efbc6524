/** The native program of helper/ and the JSON events that it reports, one a line. */
import { accessSync, constants } from 'node:fs';
import { TestbedError } from './errors.ts';
import { packageRoot } from './scripts.ts';

type HelperCommand = 'abort-fuse' | 'connect' | 'copy' | 'enter' | 'exec' | 'hold' | 'isolate' | 'look' | 'unstage';

export function helperWords(command: HelperCommand, ...args: readonly string[]): [string, ...string[]] {
  return [helperPath(), command, ...args];
}

let known: string | undefined;

/** @throws TestbedError when the program was not built for this machine */
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

/** Texts are bytes as Latin-1, because names from the testbed need not be UTF-8. */
export interface HelperEvent {
  readonly event: string;
  readonly [member: string]: string | number;
}

export interface HelperFailure extends HelperEvent {
  readonly event: 'failed';
  readonly code: string;
  readonly what: string;
}

/** Undefined when the line is no event, such as a message of a tool. */
export function parseEvent(line: string): HelperEvent | undefined {
  if (!line.startsWith('{"event":')) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return isEvent(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

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

/** Without the remedy: `mounting overlay on / failed: Invalid argument`. */
export function failureText({ what, on, reason }: HelperFailure): string {
  const subject = on === undefined ? what : `${what} ${on}`;
  return reason === undefined ? `${subject} failed` : `${subject} failed: ${reason}`;
}
