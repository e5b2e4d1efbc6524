import { closeSync } from 'node:fs';
import { MisuseError } from '../errors.ts';
import type { Log } from '../log.ts';
import { NotRunError } from '../testbed/execute.ts';
import type { OpenTestbed, RunOptions } from '../testbed/types.ts';
import { openHostFile, type Stream } from './host-file.ts';
import { decodeText, decodeWord, quoted } from './line.ts';

interface CommandWords {
  readonly argv: readonly [string, ...string[]];
  readonly files: Readonly<Partial<Record<Stream, Buffer>>>;
  readonly options: Pick<RunOptions, 'cwd' | 'user' | 'env' | 'timeout'>;
}

/** Seconds; longer ones do not fit the timers of Node.js. */
const LONGEST_TIMEOUT = 2_147_483;

export function parseCommand(words: readonly string[]): CommandWords {
  const [list = '', ...keywords] = words;
  const [program = '', ...args] = list.split(',').map(decodeText);
  if (program === '') throw misuse('command needs a program', 'write command PROGRAM,ARG,...');
  const files: Partial<Record<Stream, Buffer>> = {};
  const env: Record<string, string> = {};
  const options: { cwd?: string; user?: string; timeout?: number } = {};
  const seen = new Set<string>();
  for (const keyword of keywords) {
    const { name, value } = splitKeyword(keyword);
    if (name !== 'env' && seen.has(name)) throw misuse(`command has ${name}= twice`, 'give it once');
    seen.add(name);
    switch (name) {
      case 'stdin':
      case 'stdout':
      case 'stderr':
        files[name] = decodeWord(nonEmpty(name, value));
        break;
      case 'cwd':
      case 'user':
        options[name] = decodeText(nonEmpty(name, value));
        break;
      case 'env': {
        const pair = splitPair(decodeText(value));
        if (pair === undefined) {
          throw misuse(`env=${quoted(value)} sets no variable`, 'write env=NAME=VALUE');
        }
        Object.defineProperty(env, pair[0], { value: pair[1], enumerable: true, configurable: true });
        break;
      }
      case 'timeout':
        options.timeout = parseTimeout(decodeText(value));
        break;
      default:
        throw misuse(
          `command has no keyword ${quoted(keyword)}`,
          'write commas between the words of the command; the keywords are stdin= stdout= stderr= cwd= user= env= timeout=',
        );
    }
  }
  return { argv: [program, ...args], files, options: { ...options, env } };
}

/** The time limit includes the opening of FIFOs. @throws MisuseError, and errors of OpenTestbed.run */
export async function serveCommand(
  testbed: OpenTestbed,
  words: readonly string[],
  { log, signal = NEVER }: { readonly log: Log; readonly signal?: AbortSignal | undefined },
): Promise<number> {
  const { argv, files, options } = parseCommand(words);
  const { timeout } = options;
  const limit = timeout === undefined ? NEVER : AbortSignal.timeout(Math.ceil(timeout * 1000));
  const started = performance.now();
  const until = { log, signal: AbortSignal.any([signal, limit]) };
  const opened: Partial<Record<Stream, number>> = {};
  try {
    if (files.stdin !== undefined) opened.stdin = await openHostFile('stdin', files.stdin, until);
    if (files.stdout !== undefined) opened.stdout = await openHostFile('stdout', files.stdout, until);
    if (files.stderr !== undefined) {
      // One open file for both, because two would overwrite each other's lines.
      const same = files.stdout?.equals(files.stderr) === true ? opened.stdout : undefined;
      opened.stderr = same ?? (await openHostFile('stderr', files.stderr, until));
    }
    // In whole milliseconds, because an error names it.
    const left = (seconds: number) =>
      Math.max(1, Math.round(seconds * 1000 - Math.floor(performance.now() - started))) / 1000;
    const { status } = await testbed.run(argv, {
      ...options,
      ...(timeout === undefined ? {} : { timeout: left(timeout) }),
      ...opened,
      ...(signal === NEVER ? {} : { signal }),
    });
    return status;
  } catch (error) {
    // A directory or user that the testbed does not have is no failure of the testbed.
    throw error instanceof NotRunError ? error.forCaller() : error;
  } finally {
    for (const descriptor of new Set(Object.values(opened))) closeSync(descriptor);
  }
}

const NEVER = new AbortController().signal;

function splitKeyword(keyword: string): { name: string; value: string } {
  const [name, value] = splitPair(keyword) ?? [keyword, ''];
  return { name, value };
}

function splitPair(text: string): readonly [string, string] | undefined {
  const equals = text.indexOf('=');
  return equals < 1 ? undefined : [text.slice(0, equals), text.slice(equals + 1)];
}

function nonEmpty(name: string, value: string): string {
  if (value === '') throw misuse(`${name}= of command is empty`, 'give a value, or omit it');
  return value;
}

function parseTimeout(text: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds > 0 && seconds <= LONGEST_TIMEOUT)) {
    throw misuse(
      `timeout=${quoted(text)} of command is no time`,
      `give seconds, more than 0 and at most ${LONGEST_TIMEOUT}`,
    );
  }
  return seconds;
}

/**
 * The variables of `shell DIR K=V...`. autopkgtest writes `K="V"`, for servers that pass the word to a shell: one pair of
 * double quotes around the value is removed. @throws MisuseError
 */
export function parseVariables(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const pair = splitPair(word);
      if (pair === undefined) throw misuse(`${quoted(word)} sets no variable`, 'write NAME=VALUE');
      const [name, value] = pair;
      return [name, /^"(.*)"$/s.exec(value)?.[1] ?? value];
    }),
  );
}

function misuse(what: string, remedy: string): MisuseError {
  return new MisuseError(what, { remedy });
}
