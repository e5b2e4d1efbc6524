/** Waits until something in a testbed is ready. */
import { NotReadyError, UsageError } from '../errors.ts';
import { checkCount, checkNames, type Names, notAllowed, seconds } from './checks.ts';
import type { StartPlace } from './start.ts';
import { type Attempt, commandAttempt, httpAttempt, portAttempt } from './wait-attempts.ts';
import { waitForLog } from './wait-log.ts';
import type {
  CommandCondition,
  Condition,
  HttpCondition,
  LogCondition,
  PortCondition,
  WaitOptions,
} from './wait-types.ts';

export interface WaitPlace extends StartPlace {
  /** Aborted with an error when the testbed ends. */
  readonly life: AbortSignal;
}

const OPTION_NAMES: Names<Required<WaitOptions>> = { timeout: true, signal: true };
const PORT_NAMES: Names<Required<PortCondition>> = { port: true, address: true };
const LOG_NAMES: Names<Required<LogCondition>> = { log: true, of: true, times: true };
const HTTP_NAMES: Names<Required<HttpCondition>> = {
  ...{ http: true, path: true, headers: true, status: true, body: true, address: true },
};
const COMMAND_NAMES: Names<Required<CommandCondition>> = { command: true, cwd: true, env: true, user: true };
/** Milliseconds between two attempts: at first, and at most. */
const PAUSE = 10;
const LONGEST_PAUSE = 200;

export async function waitFor(
  place: WaitPlace,
  condition: Condition | readonly Condition[],
  options: WaitOptions,
): Promise<unknown> {
  checkNames('waitFor', options, OPTION_NAMES);
  const limit = seconds('timeout', options.timeout ?? 60);
  const { signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw notAllowed('signal', signal, 'give an AbortSignal');
  }
  const isList = isListOf(condition);
  const waits = (isList ? condition : [condition]).map((each) => waitOf(place, each));
  // A failure of one ends the others.
  const stop = new AbortController();
  const aborted = AbortSignal.any([stop.signal, place.life, ...(signal === undefined ? [] : [signal])]);
  const waiting = waits.map((wait) => wait({ limit, signal: aborted }));
  try {
    const results = await Promise.all(waiting);
    return isList ? results : results[0];
  } catch (error) {
    signal?.throwIfAborted();
    place.life.throwIfAborted();
    throw error;
  } finally {
    stop.abort();
    await Promise.allSettled(waiting);
  }
}

type Wait = (how: { readonly limit: number; readonly signal: AbortSignal }) => Promise<unknown>;

function isListOf(condition: Condition | readonly Condition[]): condition is readonly Condition[] {
  return Array.isArray(condition);
}

function waitOf(place: WaitPlace, condition: Condition): Wait {
  if (typeof condition === 'object' && condition !== null) {
    if ('port' in condition) {
      checkNames('port', condition, PORT_NAMES);
      return repeat(portAttempt(place, condition));
    }
    if ('http' in condition) {
      checkNames('http', condition, HTTP_NAMES);
      return repeat(httpAttempt(place, condition));
    }
    if ('command' in condition) {
      checkNames('command', condition, COMMAND_NAMES);
      return repeat(commandAttempt(place, condition));
    }
    if ('log' in condition) {
      checkNames('log', condition, LOG_NAMES);
      checkCount('times', condition.times);
      return waitForLog(condition);
    }
  }
  throw new UsageError('there is nothing to wait for', {
    code: 'WRONG_VALUE',
    remedy: 'give port, log, http or command, or a list of such conditions',
  });
}

function repeat<T>({ what, attempt }: Attempt<T>): Wait {
  return async ({ limit, signal }) => {
    const time = AbortSignal.timeout(Math.ceil(limit * 1000));
    const either = AbortSignal.any([signal, time]);
    let seen = 'nothing';
    for (let pause = PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      try {
        const outcome = await attempt(either);
        if ('ready' in outcome) return outcome.ready;
        seen = outcome.seen;
      } catch (error) {
        if (!either.aborted) throw error;
        if (seen === 'nothing') seen = 'it did not answer in this time';
      }
      await sleep(pause, either);
      signal.throwIfAborted();
      if (time.aborted) throw notReady(what, limit, seen);
    }
  };
}

function notReady(what: string, limit: number, seen: string): NotReadyError {
  return new NotReadyError(`${what} was not ready after ${limit} s: ${seen}`, {
    seen,
    remedy: 'look for the reason in its log, or raise timeout',
  });
}

/** Resolves early at an abort. */
function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done, { once: true });
  });
}
