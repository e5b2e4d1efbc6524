/**
 * Each request gets its reply before the next one is read. Errors become replies in commands.ts, or end the session here.
 */
import type { Readable, Transform, Writable } from 'node:stream';
import split2 from 'split2';
import { MisuseError, VirtError } from '../errors.ts';
import type { Log } from '../log.ts';
import { scarceError } from '../scarce.ts';
import type { TestbedProvider } from '../testbed/types.ts';
import { closeTestbed, perform, type Session } from './commands.ts';
import { parseRequest } from './line.ts';
import { once, unlessStopped } from './stop.ts';
import { undelivered } from './undelivered.ts';

/** The same as of autopkgtest's own servers. */
export const EXIT = { quit: 0, ended: 12, internal: 16 } as const;

/** Characters: enough for the longest encoded argument list that the kernel takes. */
const LONGEST_LINE = 8 * 1024 * 1024;

/** Milliseconds for the request under way when stdin has ended. */
const LAST_REQUEST_GRACE = 1000;

export interface ServeOptions {
  readonly input: Readable;
  readonly output: Writable;
  readonly provider: TestbedProvider;
  readonly ownNetwork: boolean;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Gets the failures that end the session, or a request of a person. */
  readonly events?: { failed(error: unknown): void } | undefined;
}

/** Serves one session after its first `ok` and gives the exit status. Does not throw. */
export async function serve(options: ServeOptions): Promise<number> {
  const { input, output, provider, ownNetwork, log, signal } = options;
  const dispose = once(() => provider.dispose());
  const stopped = new AbortController();
  const session: Session = { provider, log, ownNetwork, interrupt: stopped.signal };
  const lines = linesOf(input);
  const stop = (reason: Error) => {
    stopped.abort(reason);
    lines.destroy(reason);
  };
  const onSignal = () => stop(new StoppedBySignal());
  if (signal.aborted) onSignal();
  else signal.addEventListener('abort', onSignal, { once: true });
  // Each write reports its own.
  output.on('error', () => {});

  // A driver that died has sent nothing after the current request, which then gets little time, unless it ends the session itself.
  let grace: NodeJS.Timeout | undefined;
  let isQuitting = false;
  const watchForEnd = () => {
    const ended = input.readableEnded || input.destroyed;
    if (!ended || lines.readableLength > 0 || grace !== undefined || isQuitting) return;
    grace = setTimeout(() => stop(endOfFile()), LAST_REQUEST_GRACE);
  };
  input.once('end', watchForEnd);
  input.once('close', watchForEnd);

  let overflow: Error | undefined;
  lines.once('error', (error) => {
    if (!(error instanceof VirtError)) overflow = error;
  });
  const reported = new Set<unknown>();
  const fail = (error: unknown) => {
    const shown = error === overflow ? tooLong(error) : (scarceError(error) ?? error);
    if (!reported.has(error)) {
      report(shown, log);
      options.events?.failed(shown);
    }
    reported.add(error);
    return shown instanceof VirtError ? EXIT.ended : EXIT.internal;
  };
  let status: number;
  try {
    for await (const line of lines) {
      log.debug(`request: ${line}`);
      const request = parseRequest(line);
      isQuitting = request.verb === 'quit';
      watchForEnd();
      const reply = await unlessStopped(perform(session, request), stopped.signal, dispose);
      if (isQuitting) await dispose();
      log.debug(`reply: ${reply}`);
      await writeLine(output, reply, stopped.signal);
      if (isQuitting) return EXIT.quit;
    }
    throw endOfFile();
  } catch (error) {
    status = fail(error);
  } finally {
    input.off('end', watchForEnd).off('close', watchForEnd);
    clearTimeout(grace);
    signal.removeEventListener('abort', onSignal);
    lines.destroy();
    input.destroy();
  }
  // A testbed that does not end must not keep the rest, nor this process.
  for (const end of [() => closeTestbed(session), dispose]) {
    await end().catch((error: unknown) => {
      status = fail(error);
    });
  }
  return status;
}

class StoppedBySignal extends VirtError {
  constructor() {
    super('stopped by a signal');
  }
  override name = 'StoppedBySignal';
}

function tooLong(cause: unknown): MisuseError {
  return new MisuseError(`a request is longer than ${LONGEST_LINE} bytes`, {
    code: 'TOO_LONG',
    remedy: 'send shorter ones',
    cause,
  });
}

function endOfFile(): MisuseError {
  return new MisuseError('end of file on stdin without quit, so the testbed was closed', {
    code: 'END_OF_FILE',
  });
}

function linesOf(input: Readable): Transform {
  const lines = split2('\n', { maxLength: LONGEST_LINE, decodeStrings: false });
  // A last line without newline is an incomplete request and must not run; split2 would emit it.
  lines._flush = (done) => done();
  input.setEncoding('latin1');
  input.on('error', () => {});
  input.once('close', () => lines.end());
  input.pipe(lines);
  return lines;
}

/** Resolves when the line is written, or at the abort: the reader may be there and not read. @throws TestbedError */
function writeLine(output: Writable, line: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => done();
    const done = (error?: Error | null) => {
      signal.removeEventListener('abort', stop);
      const failure = undelivered(error);
      if (failure === undefined) resolve();
      else reject(failure);
    };
    signal.addEventListener('abort', stop);
    output.write(`${line}\n`, done);
  });
}

function report(error: unknown, log: Log): void {
  if (error instanceof StoppedBySignal) return;
  if (error instanceof VirtError) log.warn(error.message);
  else log.warn(`internal error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
}
