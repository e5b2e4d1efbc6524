/** The process that keeps a testbed of `run --detach` open until its command has ended, or `close` ends it. */
import { writeSync } from 'node:fs';
import { placeOf, type Words } from '../command-line/given.ts';
import { testbedFromWords } from '../command-line/testbed-options.ts';
import { CommandTimeoutError, EXIT_TESTBED, TestbedError } from '../errors.ts';
import type { Argv } from '../host.ts';
import type { Log } from '../log.ts';
import { beginDetached, endDetached } from '../processes/detached.ts';
import { randomBytes } from '../random.ts';
import { leaveStderr, writeToStderr } from '../stderr.ts';
import { NotRunError } from '../testbed/execute.ts';
import type { OpenTestbed } from '../testbed/types.ts';
import { aborted } from '../wait.ts';
import { BoundedLog } from './bounded-log.ts';
import { LoggedCommand } from './logged-command.ts';
import { openFor } from './open.ts';
import { commitOf, conclude } from './run-testbed.ts';

/** In the environment of the keeper. */
export const KEEPER = 'VIRT_TS_UNSHARE_KEEPER';

/** What the keeper writes to its stdout, as JSON, when the command runs. */
export interface Readiness {
  readonly name: string;
}

export async function keep(words: Words, signal: AbortSignal): Promise<number> {
  delete process.env[KEEPER];
  // It is removed at logout.
  delete process.env.XDG_RUNTIME_DIR;
  const commit = commitOf(words);
  const given = testbedFromWords(words, process.env);
  const name = given.name ?? given.hostname ?? `testbed-${randomBytes(3).toString('hex')}`;
  const hostname = given.hostname ?? (given.name === undefined ? name : undefined);
  const { testbed, log, close } = await openFor(words, signal, 'run', { name, hostname });
  try {
    const folder = beginDetached(name, process.env);
    let status: number | undefined;
    try {
      const output = new BoundedLog(folder);
      const ready = () => {
        say({ name });
        leaveStderr((bytes) => output.write(bytes));
        process.chdir('/');
      };
      const kept = { testbed, words, commit, log, output, ready, signal };
      status = await (words.command === undefined ? waitForEnd(kept) : runCommand(kept, words.command));
    } catch (error) {
      if (error instanceof NotExecuted) return error.status;
      throw error;
    } finally {
      endDetached(folder, status);
    }
    return status ?? 0;
  } finally {
    await close();
  }
}

/** @throws TestbedError when the process that waits for it has ended */
function say(readiness: Readiness): void {
  try {
    writeSync(1, `${JSON.stringify(readiness)}\n`);
  } catch (cause) {
    throw new TestbedError(
      `the testbed ${readiness.name} was closed, because the process that opened it was killed`,
      { code: 'CALLER_ENDED', cause },
    );
  }
}

interface Kept {
  readonly testbed: OpenTestbed;
  readonly words: Words;
  readonly commit: ReturnType<typeof commitOf>;
  readonly log: Log;
  readonly output: BoundedLog;
  readonly ready: () => void;
  readonly signal: AbortSignal;
}

/** Gives the status, or undefined when nothing of it is to be kept. */
async function runCommand(kept: Kept, argv: Argv): Promise<number | undefined> {
  const { testbed, words, commit, log, output, ready, signal } = kept;
  const command = await LoggedCommand.start(testbed, argv, { ...placeOf(words), output, log, signal });
  const status = command.status.catch((error: unknown) => {
    if (error instanceof CommandTimeoutError) return undefined;
    if (error instanceof NotRunError) return EXIT_TESTBED;
    throw error;
  });
  // Not awaited when `ready` fails.
  status.catch(() => {});
  if (!(await command.isExecuted())) {
    const failed = await status;
    // Why is the first that it has written.
    writeToStderr(command.beginning);
    if (failed !== undefined) throw new NotExecuted(failed);
    return undefined;
  }
  ready();
  const ended = await status;
  if (ended === undefined || signal.aborted) return undefined;
  const result = await conclude(testbed, { status: ended, argv, words, commit, log, signal });
  log.warn(`the command ended with status ${result}`);
  return result;
}

/** Gives nothing when it was closed, else what a command gets whose testbed has ended. */
async function waitForEnd({ testbed, log, ready, signal }: Kept): Promise<number | undefined> {
  ready();
  // Nothing else keeps this process running.
  const stay = setInterval(() => {}, 1 << 30);
  try {
    await Promise.race([testbed.ended, aborted(signal)]);
  } finally {
    clearInterval(stay);
  }
  if (signal.aborted) return undefined;
  log.warn('the testbed was closed, because its pid 1 has ended');
  return EXIT_TESTBED;
}

/** The command could not be executed: the caller of run --detach gets its status. */
class NotExecuted extends Error {
  readonly status: number;

  constructor(status: number) {
    super('the command was not executed');
    this.status = status;
  }
}
