import { resolve } from 'node:path';
import { isatty } from 'node:tty';
import type { Words } from '../command-line/given.ts';
import { testbedFromWords } from '../command-line/testbed-options.ts';
import { CommandTimeoutError, EXIT_TESTBED } from '../errors.ts';
import { warnOfLeaks } from '../leaks/report.ts';
import { shellLine } from '../log.ts';
import { openCache } from '../rootfs/cache.ts';
import { checkImageName } from '../rootfs/commit.ts';
import type { Recipe } from '../rootfs/committed.ts';
import { imageNameFor } from '../rootfs/order.ts';
import { checkCommit } from '../testbed/committing.ts';
import { NotRunError } from '../testbed/execute.ts';
import { passInterrupt, SHELL } from './follow.ts';
import { openFor } from './open.ts';
import { openPipes } from './open-pipes.ts';
import type { VerbContext } from './verb.ts';

interface InTestbedOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly failOnLeak: boolean;
}

/** Before the command has run for nothing. @throws UsageError */
function checkBefore(image: string, words: Words): void {
  const options = testbedFromWords(words, process.env);
  checkCommit(options);
  checkImageName(openCache(process.env).images, imageNameFor(image, options.root.arch));
}

/** The command is a recipe when it needs nothing else, and the parent is named. */
function recipeOf(words: Words, image: string): { recipe?: Recipe } {
  const { command } = words;
  const [release, tarball, rootfs] = [words.one('release'), words.one('tarball'), words.one('rootfs')];
  const from = tarball === undefined ? (release ?? rootfs) : resolve(tarball);
  const needs = (['user', 'cwd', 'env', 'env-file', 'bind', 'bind-ro', 'network', 'arch'] as const).some(
    (name) => words.has(name),
  );
  if (command === undefined || needs || from === undefined || from === image) return {};
  return { recipe: { from, run: [shellLine(command)] } };
}

/** Without a command, runs a shell. */
export async function runInTestbed(
  words: Words,
  { env, failOnLeak }: InTestbedOptions,
  { signal, interrupts }: Pick<VerbContext, 'signal' | 'interrupts'>,
): Promise<number> {
  const { command } = words;
  const [cwd, user] = [words.one('cwd'), words.one('user')];
  const image = words.one('commit');
  if (image !== undefined) checkBefore(image, words);
  const { testbed, log, close } = await openFor(words, signal, 'run');
  openPipes();
  try {
    // A shell that reads a pipe must be no login shell, and is that of every root filesystem.
    const argv = command ?? (isatty(0) ? SHELL : (['/bin/sh'] as const));
    const { status } = await testbed.attach(argv, {
      ...{ env, signal, onStart: (started) => passInterrupt(interrupts, started) },
      ...(cwd === undefined ? {} : { cwd }),
      ...(user === undefined ? {} : { user }),
    });
    const leaks = await testbed.leaks('command');
    warnOfLeaks(leaks, log);
    const result = status === 0 && failOnLeak && leaks.length > 0 ? 1 : status;
    if (image !== undefined) {
      if (result !== 0) log.warn(`the image ${image} was not made, because the status is ${result}`);
      else
        await testbed.commit({
          name: image,
          command: argv,
          ...recipeOf(words, image),
          signal,
        });
    }
    return result;
  } catch (error) {
    if (error instanceof CommandTimeoutError || signal.aborted) return 130;
    if (error instanceof NotRunError) return EXIT_TESTBED;
    throw error;
  } finally {
    await close();
  }
}
