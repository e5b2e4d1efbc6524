/** `run` in a fresh testbed. */
import { CommandTimeoutError } from '../errors.ts';
import type { Argv } from '../host.ts';
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

/** Gives the command's exit status. */
export async function runInTestbed(
  argv: Argv,
  options: InTestbedOptions,
  signal: AbortSignal,
): Promise<number> {
  const { cwd, user, env } = options;
  const { testbed, log, close } = await openFor(options.testbed);
  openPipes();
  try {
    const { status } = await testbed.run(argv, {
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
    throw error;
  } finally {
    await close();
  }
}
