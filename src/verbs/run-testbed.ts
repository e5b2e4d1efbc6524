import { isatty } from 'node:tty';
import type { Words } from '../command-line/given.ts';
import { CommandTimeoutError, EXIT_TESTBED } from '../errors.ts';
import { warnOfLeaks } from '../leaks/report.ts';
import { NotRunError } from '../testbed/execute.ts';
import { passInterrupt, SHELL } from './follow.ts';
import { openFor } from './open.ts';
import { openPipes } from './open-pipes.ts';
import type { VerbContext } from './verb.ts';

interface InTestbedOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly failOnLeak: boolean;
}

/** Without a command, runs a shell. */
export async function runInTestbed(
  words: Words,
  { env, failOnLeak }: InTestbedOptions,
  { signal, interrupts }: Pick<VerbContext, 'signal' | 'interrupts'>,
): Promise<number> {
  const { command } = words;
  const [cwd, user] = [words.one('cwd'), words.one('user')];
  const { testbed, log, close } = await openFor(words, signal);
  openPipes();
  try {
    // A shell that reads a pipe must be no login shell, and is that of every root filesystem.
    const argv = command ?? (isatty(0) ? SHELL : (['/bin/sh'] as const));
    const { status } = await testbed.attach(argv, {
      ...{ env, signal, onStart: (started) => passInterrupt(interrupts, started) },
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
