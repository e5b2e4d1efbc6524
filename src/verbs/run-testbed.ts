import { isatty } from 'node:tty';
import type { Words } from '../command-line/given.ts';
import { CommandTimeoutError, EXIT_TESTBED, UsageError } from '../errors.ts';
import { warnOfLeaks } from '../leaks/report.ts';
import { NotRunError } from '../testbed/execute.ts';
import { openFor } from './open.ts';
import { openPipes } from './open-pipes.ts';

interface InTestbedOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly failOnLeak: boolean;
}

/** Without a command, runs a shell that reads stdin. */
export async function runInTestbed(
  words: Words,
  { env, failOnLeak }: InTestbedOptions,
  signal: AbortSignal,
): Promise<number> {
  const { command } = words;
  const [cwd, user] = [words.one('cwd'), words.one('user')];
  // Such a shell would have no job control, and its first Ctrl-C would end the testbed.
  if (command === undefined && isatty(0)) {
    throw new UsageError('run needs a command', {
      code: 'MISSING_WORD',
      remedy: 'use virt-ts-unshare shell for a shell on the terminal',
    });
  }
  const { testbed, log, close } = await openFor(words, signal);
  openPipes();
  try {
    const { status } = await testbed.run(command ?? ['/bin/sh'], {
      ...{ stdin: 0, stdout: 1, stderr: 2, env, signal },
      ...(cwd === undefined ? {} : { cwd }),
      ...(user === undefined ? {} : { user }),
    });
    const leaks = await testbed.leaks();
    warnOfLeaks(leaks, log);
    return status === 0 && failOnLeak && leaks.length > 0 ? 1 : status;
  } catch (error) {
    if (error instanceof CommandTimeoutError || signal.aborted) return 130;
    if (error instanceof NotRunError) return EXIT_TESTBED;
    throw error;
  } finally {
    await close();
  }
}
