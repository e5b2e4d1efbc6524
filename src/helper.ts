/** The native program of helper/ and the JSON events that it reports, one a line. */
import { accessSync, constants } from 'node:fs';
import { createRequire } from 'node:module';
import { TestbedError } from './errors.ts';
import { shellLine } from './log.ts';
import { packageRoot } from './scripts.ts';

type HelperCommand =
  | 'abort-fuse'
  | 'connect'
  | 'copy'
  | 'enter'
  | 'exec'
  | 'freeze'
  | 'hold'
  | 'isolate'
  | 'look'
  | 'read'
  | 'unstage';

export function helperWords(command: HelperCommand, ...args: readonly string[]): [string, ...string[]] {
  return [helperPath(), command, ...args];
}

let known: string | undefined;

/** @throws TestbedError when there is no program for this machine */
export function helperPath(): string {
  known ??= findHelper(packageRoot());
  return known;
}

/** The program that was compiled in this directory, or else that of the npm package for this architecture. */
export function findHelper(root: string): string {
  const compiled = `${root}/dist/helper-${process.arch}`;
  if (mayExecute(compiled)) return compiled;
  const installed = installedHelper(root);
  if (installed !== undefined && mayExecute(installed)) return installed;
  throw new TestbedError(`the helper ${compiled} is missing or may not be executed`, {
    code: 'NO_HELPER',
    remedy: `compile it, with gcc and libc6-dev installed: ${compileCommand(root)}`,
  });
}

/** For architectures without an npm package, and where it was left out. */
export function compileCommand(root: string): string {
  return shellLine([`${root}/helper/compile`, `${root}/dist/helper-${process.arch}`]);
}

/** Undefined when npm has no such package for this architecture, or was run with --omit=optional. */
function installedHelper(root: string): string | undefined {
  try {
    return createRequire(`${root}/package.json`).resolve(`@virt-ts-unshare/linux-${process.arch}/helper`);
  } catch {
    return undefined;
  }
}

function mayExecute(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
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
