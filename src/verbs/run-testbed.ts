import { resolve } from 'node:path';
import { isatty } from 'node:tty';
import { placeOf, type Words } from '../command-line/given.ts';
import { testbedFromWords } from '../command-line/testbed-options.ts';
import { CommandTimeoutError, EXIT_TESTBED } from '../errors.ts';
import type { Argv } from '../host.ts';
import { warnOfLeaks } from '../leaks/report.ts';
import { type Log, shellLine } from '../log.ts';
import { openCache } from '../rootfs/cache.ts';
import { checkImageName } from '../rootfs/commit.ts';
import type { Recipe } from '../rootfs/committed.ts';
import { imageNameFor } from '../rootfs/order.ts';
import { checkCommit } from '../testbed/committing.ts';
import { NotRunError } from '../testbed/execute.ts';
import type { OpenTestbed } from '../testbed/types.ts';
import { passInterrupt, SHELL } from './follow.ts';
import { openFor } from './open.ts';
import { openPipes } from './open-pipes.ts';
import type { VerbContext } from './verb.ts';

interface Commit {
  readonly name: string;
  readonly recipe?: Recipe;
}

/** What --commit asks for. Checked before the command has run for nothing, and before the working directory is left. @throws UsageError */
export function commitOf(words: Words): Commit | undefined {
  const name = words.one('commit');
  if (name === undefined) return undefined;
  const options = testbedFromWords(words, process.env);
  checkCommit(options);
  checkImageName(openCache(process.env).images, imageNameFor(name, options.root.arch));
  return { name, ...recipeOf(words, name) };
}

/** The command is a recipe when it needs nothing else, and the parent is named. */
function recipeOf(words: Words, image: string): { recipe?: Recipe } {
  const { command } = words;
  const [release, tarball, rootfs] = [words.one('release'), words.one('tarball'), words.one('rootfs')];
  const from = tarball === undefined ? (release ?? rootfs) : resolve(tarball);
  const needs = (
    ['user', 'cwd', 'workdir', 'env', 'env-file', 'bind', 'bind-ro', 'network', 'arch'] as const
  ).some((name) => words.has(name));
  if (command === undefined || needs || from === undefined || from === image) return {};
  return { recipe: { from, run: [shellLine(command)] } };
}

interface Conclusion {
  readonly status: number;
  readonly argv: Argv;
  readonly words: Words;
  readonly commit: Commit | undefined;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** When the command has ended: reports what it left, and makes the image of --commit. Gives the exit status. */
export async function conclude(
  testbed: OpenTestbed,
  { status, argv, words, commit, log, signal }: Conclusion,
): Promise<number> {
  const leaks = await testbed.leaks('command');
  warnOfLeaks(leaks, log);
  const result = status === 0 && words.has('fail-on-leak') && leaks.length > 0 ? 1 : status;
  if (commit === undefined) return result;
  if (result !== 0) log.warn(`the image ${commit.name} was not made, because the status is ${result}`);
  else await testbed.commit({ ...commit, command: argv, signal });
  return result;
}

/** Without a command, runs a shell. */
export async function runInTestbed(
  words: Words,
  { signal, interrupts }: Pick<VerbContext, 'signal' | 'interrupts'>,
): Promise<number> {
  const { command } = words;
  const place = placeOf(words);
  const commit = commitOf(words);
  const { testbed, log, close } = await openFor(words, signal, 'run');
  openPipes();
  try {
    // A shell that reads a pipe must be no login shell, and is that of every root filesystem.
    const argv = command ?? (isatty(0) ? SHELL : (['/bin/sh'] as const));
    const { status } = await testbed.attach(argv, {
      ...{ ...place, signal, onStart: (started) => passInterrupt(interrupts, started) },
    });
    return await conclude(testbed, { status, argv, words, commit, log, signal });
  } catch (error) {
    if (error instanceof CommandTimeoutError || signal.aborted) return 130;
    if (error instanceof NotRunError) return EXIT_TESTBED;
    throw error;
  } finally {
    await close();
  }
}
