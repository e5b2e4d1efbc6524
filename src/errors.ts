/**
 * The kinds of failure of the whole program. Each message is one sentence with what failed, on what, and the remedy; the
 * original error is the `cause`. This file imports nothing.
 */

/** Exit status of a verb whose testbed could not be made or is broken. */
export const EXIT_TESTBED = 255;

interface ErrorFacts {
  /** A word that a program can compare, such as `NO_SUBORDINATE_IDS`; it never changes. Default: that of the class. */
  readonly code?: string | undefined;
  /** What to do about it; put behind the sentence, after a semicolon. */
  readonly remedy?: string | undefined;
  readonly cause?: unknown;
}

/**
 * Base of every error that this program raises on purpose. `message` is one sentence: what failed, on what, and the remedy; `cause` is
 * the original error, where there is one.
 * @hideconstructor
 */
export class VirtError extends Error {
  /** Name of the class. */
  override name = 'VirtError';
  /** A word in capitals that a program can compare, such as `NO_SUBORDINATE_IDS`. It stays the same when the sentence changes. */
  readonly code: string;
  /** What to do about it. The message ends with it. Undefined where no remedy is known. */
  readonly remedy: string | undefined;

  constructor(what: string, { code = 'FAILED', remedy, cause }: ErrorFacts = {}) {
    super(remedy === undefined ? what : `${what}; ${remedy}`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.remedy = remedy;
  }
}

/**
 * An argument or option is wrong, or a file or a program of the host is missing; found before anything was done. Exit status 2 of the
 * program. Its `code` is `USAGE` or a more exact word.
 * @hideconstructor
 */
export class UsageError extends VirtError {
  override name = 'UsageError';

  constructor(what: string, facts: ErrorFacts = {}) {
    super(what, { code: 'USAGE', ...facts });
  }
}

/** The driver broke the protocol (unknown command, wrong state, bad percent code): ends the session, exit status 12. */
export class MisuseError extends VirtError {
  override name = 'MisuseError';

  constructor(what: string, facts: ErrorFacts = {}) {
    super(what, { code: 'PROTOCOL_MISUSE', ...facts });
  }
}

/**
 * The testbed could not be made, is broken or closed, or cannot be removed; it cannot be used any more. Ends a session of the server, exit
 * status 12. Its `code` is `TESTBED_FAILED` or a more exact word.
 * @hideconstructor
 */
export class TestbedError extends VirtError {
  override name = 'TestbedError';

  constructor(what: string, facts: ErrorFacts = {}) {
    super(what, { code: 'TESTBED_FAILED', ...facts });
  }
}

/**
 * A copy failed; the testbed is as good as before. Reply `copy-failed` of the server. Its `code` is `COPY_FAILED` or a more exact word.
 * @hideconstructor
 */
export class CopyError extends VirtError {
  override name = 'CopyError';

  constructor(what: string, facts: ErrorFacts = {}) {
    super(what, { code: 'COPY_FAILED', ...facts });
  }
}

/**
 * A copy took longer than its limit (`copyTimeout`), and the processes at both ends of it are dead; the testbed is good. Reply
 * `timeout` of the server. Its `code` is `COPY_TIMEOUT`.
 * @hideconstructor
 */
export class CopyTimeoutError extends CopyError {
  override name = 'CopyTimeoutError';

  constructor(what: string, facts: ErrorFacts = {}) {
    super(what, { code: 'COPY_TIMEOUT', ...facts });
  }
}

/**
 * A command in the testbed took longer than its limit (`timeout`) or was aborted (`signal`), and all its processes are dead; the
 * testbed is good. Its `code` is `COMMAND_TIMEOUT`.
 * @hideconstructor
 */
export class CommandTimeoutError extends VirtError {
  override name = 'CommandTimeoutError';
  /** What it wrote to stdout so far, where that was captured as text. */
  readonly stdout: string | undefined;
  /** What it wrote to stderr so far, where that was captured as text. */
  readonly stderr: string | undefined;

  constructor(
    what: string,
    {
      stdout,
      stderr,
      ...facts
    }: ErrorFacts & { readonly stdout?: string | undefined; readonly stderr?: string | undefined } = {},
  ) {
    super(what, { code: 'COMMAND_TIMEOUT', ...facts });
    this.stdout = stdout;
    this.stderr = stderr;
  }
}

/**
 * A command that was run with `check` ended with another status than 0; the testbed is good. Its `code` is `COMMAND_FAILED`.
 * @hideconstructor
 */
export class CommandFailedError extends VirtError {
  override name = 'CommandFailedError';
  /** 1 to 253, or 128 + n for death by signal n. */
  readonly status: number;
  /** What it wrote to stdout, where that was captured as text. */
  readonly stdout: string | undefined;
  /** What it wrote to stderr, where that was captured as text. */
  readonly stderr: string | undefined;

  constructor(
    what: string,
    { status, stdout, stderr }: { status: number; stdout?: string | undefined; stderr?: string | undefined },
  ) {
    super(what, { code: 'COMMAND_FAILED' });
    this.status = status;
    this.stdout = stdout;
    this.stderr = stderr;
  }
}

/**
 * A command wrote more than `maxOutput` bytes to an output that was captured, and was ended; the testbed is good. Its `code` is
 * `OUTPUT_LIMIT`.
 * @hideconstructor
 */
export class OutputLimitError extends VirtError {
  override name = 'OutputLimitError';

  constructor(what: string, facts: ErrorFacts = {}) {
    super(what, { code: 'OUTPUT_LIMIT', ...facts });
  }
}

/**
 * A condition of `waitFor` was not met in its time, or cannot be met any more; the testbed is good. Its `code` is `NOT_READY`, or
 * `COMMAND_ENDED` when the command whose output was awaited has ended.
 * @hideconstructor
 */
export class NotReadyError extends VirtError {
  override name = 'NotReadyError';
  /** What was seen last: lines of output, a status, the error of a connection. */
  readonly seen: string;

  constructor(what: string, { seen, ...facts }: ErrorFacts & { readonly seen: string }) {
    super(what, { code: 'NOT_READY', ...facts });
    this.seen = seen;
  }
}

/**
 * A connection of `connect` was not made: nothing accepts it, or the network does not reach the address; the testbed is good. Its `code`
 * is `CANNOT_CONNECT`.
 * @hideconstructor
 */
export class ConnectError extends VirtError {
  override name = 'ConnectError';

  constructor(what: string, facts: ErrorFacts = {}) {
    super(what, { code: 'CANNOT_CONNECT', ...facts });
  }
}

export function messageOf(error: unknown): string {
  return typeof error === 'object' &&
    error !== null &&
    'message' in error &&
    typeof error.message === 'string'
    ? error.message
    : String(error);
}

/** Without the call and the path that Node appends, for a sentence that names the path itself. */
export function reasonOf(error: unknown): string {
  const message = messageOf(error);
  if (systemCodeOf(error) === undefined) return message;
  return message
    .replace(/, \w+( '.*)?$/s, '')
    .replace(/^(Unknown system error -122): \1/, 'EDQUOT: disk quota exceeded');
}

export function systemCodeOf(error: unknown): string | undefined {
  // Not `instanceof Error`: in jest the errors of Node's modules belong to another realm than those of this file.
  if (error instanceof VirtError || typeof error !== 'object' || error === null) return undefined;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  // libuv has no name for it.
  return code === 'Unknown system error -122' ? 'EDQUOT' : code;
}
