/** `run` in a fresh testbed. */
import { isatty } from 'node:tty';
import { CommandTimeoutError, EXIT_TESTBED, UsageError } from '../errors.ts';
import type { Argv } from '../host.ts';
import { NotRunError } from '../testbed/execute.ts';
import { tellLeaks } from './leaks.ts';
import { openFor } from './open.ts';
import { openPipes } from './open-pipes.ts';

export interface InTestbedOptions {
  /** Words of the options that choose and shape the testbed. */
  readonly testbed: readonly string[];
  readonly cwd: string | undefined;
  readonly user: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly failOnLeak: boolean;
}

/**
 * Gives the command's exit status.
 * @param command default: a shell, which reads our stdin
 */
export async function runInTestbed(
  command: Argv | undefined,
  options: InTestbedOptions,
  signal: AbortSignal,
): Promise<number> {
  const { cwd, user, env } = options;
  // It would have no job control, and its first Ctrl-C would be the testbed's end.
  if (command === undefined && isatty(0)) {
    throw new UsageError('run needs a command; for a shell on the terminal use virt-ts-unshare shell');
  }
  const { testbed, log, close } = await openFor(options.testbed, signal, { askedForLeaks: true });
  openPipes();
  try {
    const { status } = await testbed.run(command ?? ['/bin/sh'], {
      ...{ stdin: 0, stdout: 1, stderr: 2, env, signal },
      ...(cwd === undefined ? {} : { cwd }),
      ...(user === undefined ? {} : { user }),
    });
    const leaks = await testbed.leaks();
    tellLeaks(leaks, log);
    return status === 0 && options.failOnLeak && leaks.length > 0 ? 1 : status;
  } catch (error) {
    // Whoever sent the signal wants no sentence about it.
    if (error instanceof CommandTimeoutError || signal.aborted) return 130;
    // Its sentence is on our stderr already.
    if (error instanceof NotRunError) return EXIT_TESTBED;
    throw error;
  } finally {
    await close();
  }
}
