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

/** Base of every error that this program raises on purpose. */
export class VirtError extends Error {
  override name = 'VirtError';
  readonly code: string;
  /** What to do about it. The message ends with it. */
  readonly remedy: string | undefined;

  constructor(what: string, { code = 'FAILED', remedy, cause }: ErrorFacts = {}) {
    super(remedy === undefined ? what : `${what}; ${remedy}`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.remedy = remedy;
  }
}

/** A wrong option, a missing file or host tool, found before the first `ok`: exit status 2. */
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

/** The testbed could not be made, died or cannot be removed: ends the session, exit status 12. */
export class TestbedError extends VirtError {
  override name = 'TestbedError';

  constructor(what: string, facts: ErrorFacts = {}) {
    super(what, { code: 'TESTBED_FAILED', ...facts });
  }
}

/** A copy failed; the testbed is as good as before. Reply `copy-failed`. */
export class CopyError extends VirtError {
  override name = 'CopyError';

  constructor(what: string, facts: ErrorFacts = {}) {
    super(what, { code: 'COPY_FAILED', ...facts });
  }
}

/** A copy took longer than its limit and both ends are dead. Reply `timeout`. */
export class CopyTimeoutError extends CopyError {
  override name = 'CopyTimeoutError';

  constructor(what: string, facts: ErrorFacts = {}) {
    super(what, { code: 'COPY_TIMEOUT', ...facts });
  }
}

/** A command in the testbed took longer than its limit and its process tree is dead. Reply `timeout`. */
export class CommandTimeoutError extends VirtError {
  override name = 'CommandTimeoutError';
  /** Its output so far, where that was captured. */
  readonly stdout: string | undefined;
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

/** A command in the testbed ended with an unexpected status; the testbed is good. */
export class CommandFailedError extends VirtError {
  override name = 'CommandFailedError';
  /** 1…253, or 128 + n for death by signal n. */
  readonly status: number;
  /** What it wrote, where that was captured as text. */
  readonly stdout: string | undefined;
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

/** A command wrote more than its caller wanted to capture and was ended; the testbed is good. */
export class OutputLimitError extends VirtError {
  override name = 'OutputLimitError';

  constructor(what: string, facts: ErrorFacts = {}) {
    super(what, { code: 'OUTPUT_LIMIT', ...facts });
  }
}

/** Something was waited for in vain; the testbed is good. */
export class NotReadyError extends VirtError {
  override name = 'NotReadyError';
  /** What was seen last: lines of output, a status, the error of a connection. */
  readonly seen: string;

  constructor(what: string, { seen, ...facts }: ErrorFacts & { readonly seen: string }) {
    super(what, { code: 'NOT_READY', ...facts });
    this.seen = seen;
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
  return systemCodeOf(error) === undefined ? message : message.replace(/, \w+( '.*)?$/s, '');
}

export function systemCodeOf(error: unknown): string | undefined {
  // Not `instanceof Error`: in jest the errors of Node's modules belong to another realm than those of this file.
  if (error instanceof VirtError || typeof error !== 'object' || error === null) return undefined;
  return 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
