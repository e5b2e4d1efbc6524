/** The `command` request: its words become a run in the testbed, with the host's files as its descriptors. */
import { constants, promises } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { MisuseError, messageOf } from '../errors.ts';
import type { OpenTestbed, RunOptions } from '../testbed/types.ts';
import { decodeText, decodeWord, printable } from './line.ts';

interface CommandWords {
  readonly argv: readonly [string, ...string[]];
  /** Host paths, as bytes. */
  readonly files: Readonly<Partial<Record<Stream, Buffer>>>;
  readonly options: Pick<RunOptions, 'cwd' | 'user' | 'env' | 'timeout'>;
}
type Stream = 'stdin' | 'stdout' | 'stderr';

/** Longer ones do not fit the timers of Node. */
const LONGEST_TIMEOUT = 2_147_483;

/** Reads the words after `command`, still encoded. Throws MisuseError. */
export function parseCommand(words: readonly string[]): CommandWords {
  const [list = '', ...keywords] = words;
  const [program = '', ...args] = list.split(',').map(decodeText);
  if (program === '') throw new MisuseError('command needs a program; write command PROGRAM,ARG,...');
  const files: Partial<Record<Stream, Buffer>> = {};
  const env: Record<string, string> = {};
  const options: { cwd?: string; user?: string; timeout?: number } = {};
  const seen = new Set<string>();
  for (const keyword of keywords) {
    const { name, value } = splitKeyword(keyword);
    if (name !== 'env' && seen.has(name)) throw new MisuseError(`command has ${name}= twice; give it once`);
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
          throw new MisuseError(`env=${printable(value)} is no variable; write env=NAME=VALUE`);
        }
        Object.defineProperty(env, pair[0], { value: pair[1], enumerable: true, configurable: true });
        break;
      }
      case 'timeout':
        options.timeout = parseTimeout(decodeText(value));
        break;
      default:
        throw new MisuseError(
          `command does not know ${printable(keyword)}; known are stdin= stdout= stderr= cwd= user= env= timeout=`,
        );
    }
  }
  return { argv: [program, ...args], files, options: { ...options, env } };
}

/** Runs it and gives the command's status. Throws MisuseError for a host file that cannot be opened, and what run throws. */
export async function runCommand(
  testbed: OpenTestbed,
  words: readonly string[],
  signal: AbortSignal | undefined,
): Promise<number> {
  const { argv, files, options } = parseCommand(words);
  const opened: Partial<Record<Stream, FileHandle>> = {};
  try {
    if (files.stdin !== undefined) opened.stdin = await openFile('stdin', files.stdin);
    if (files.stdout !== undefined) opened.stdout = await openFile('stdout', files.stdout);
    if (files.stderr !== undefined) {
      // One file for both must be one open file, else each would write over the other's lines.
      const same = files.stdout?.equals(files.stderr) === true ? opened.stdout : undefined;
      opened.stderr = same ?? (await openFile('stderr', files.stderr));
    }
    const { status } = await testbed.run(argv, {
      ...options,
      ...(signal === undefined ? {} : { signal }),
      ...(opened.stdin === undefined ? {} : { stdin: opened.stdin.fd }),
      ...(opened.stdout === undefined ? {} : { stdout: opened.stdout.fd }),
      ...(opened.stderr === undefined ? {} : { stderr: opened.stderr.fd }),
    });
    return status;
  } finally {
    await Promise.all([...new Set(Object.values(opened))].map((file) => file?.close()));
  }
}

async function openFile(stream: Stream, path: Buffer): Promise<FileHandle> {
  const flags =
    stream === 'stdin' ? constants.O_RDONLY : constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC;
  try {
    return await promises.open(path, flags, 0o666);
  } catch (cause) {
    throw new MisuseError(`cannot open the ${stream} file of command: ${messageOf(cause)}`, { cause });
  }
}

function splitKeyword(keyword: string): { name: string; value: string } {
  const [name, value] = splitPair(keyword) ?? [keyword, ''];
  return { name, value };
}

function splitPair(text: string): readonly [string, string] | undefined {
  const equals = text.indexOf('=');
  return equals < 1 ? undefined : [text.slice(0, equals), text.slice(equals + 1)];
}

function nonEmpty(name: string, value: string): string {
  if (value === '') throw new MisuseError(`${name}= of command is empty; give a value or leave it out`);
  return value;
}

function parseTimeout(text: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds > 0 && seconds <= LONGEST_TIMEOUT)) {
    throw new MisuseError(
      `timeout=${printable(text)} is no time; give seconds, more than 0 and at most ${LONGEST_TIMEOUT}`,
    );
  }
  return seconds;
}

/**
 * The variables of `shell DIR K=V...`. autopkgtest writes `K="V"` there, for a server that hands the word to a shell
 * unquoted: one pair of double quotes around the value goes. Throws MisuseError.
 */
export function parseVariables(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const pair = splitPair(word);
      if (pair === undefined) throw new MisuseError(`${printable(word)} is no variable; write NAME=VALUE`);
      const [name, value] = pair;
      return [name, /^"(.*)"$/s.exec(value)?.[1] ?? value];
    }),
  );
}
