/** The words of a verb: its own options, those of the testbed, and the command behind `--`. Pure. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { messageOf, UsageError } from '../errors.ts';
import type { Argv } from '../host.ts';

/** A verb's own options: a flag, or an option with one value, which may be given again. */
export type Spec = Readonly<Record<string, 'flag' | 'value'>>;

export interface Words<S extends Spec> {
  /** Whether the flag was given. */
  has(name: keyof S & string): boolean;
  /** The values of an option in the order given. */
  all(name: keyof S & string): readonly string[];
  /** The last value of an option. */
  one(name: keyof S & string): string | undefined;
  /** What is not the verb's own, in the order given. */
  readonly rest: readonly string[];
  /** Behind `--`; undefined when there is no command. */
  readonly command: Argv | undefined;
}

/** Sorts them. @throws UsageError */
export function sortWords<const S extends Spec>(verb: string, argv: readonly string[], spec: S): Words<S> {
  const end = argv.indexOf('--');
  const before = end < 0 ? argv : argv.slice(0, end);
  const [program, ...args] = end < 0 ? [] : argv.slice(end + 1);
  const given = new Map<string, string[]>();
  const rest: string[] = [];
  for (let index = 0; index < before.length; index += 1) {
    const word = before[index] ?? '';
    const [, name = '', value] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    if (!Object.hasOwn(spec, name)) {
      rest.push(word);
      continue;
    }
    const values = given.get(name) ?? [];
    given.set(name, values);
    if (spec[name] === 'flag') {
      if (value !== undefined) throw new UsageError(`--${name} takes no value; write --${name}`);
    } else {
      if (value === undefined) index += 1;
      const text = value ?? before[index];
      if (text === undefined) throw new UsageError(`--${name} needs a value; see ${verb} --help`);
      values.push(text);
    }
  }
  return {
    has: (name) => given.has(name),
    all: (name) => given.get(name) ?? [],
    one: (name) => given.get(name)?.at(-1),
    rest,
    command: program === undefined ? undefined : [program, ...args],
  };
}

/**
 * For a verb that takes nothing but its own options, which is what `words` are left of: whether --debug is among them.
 * @param where what the others do not go with
 * @throws UsageError when there is anything else
 */
export function onlyDebug(verb: string, where: string, words: readonly string[]): boolean {
  for (const word of words) {
    if (word === '-d' || word === '--debug') continue;
    throw new UsageError(
      word.startsWith('-')
        ? `${word} does not go with ${where}; see ${verb} --help`
        : `unexpected word ${word}; put -- before the command, see ${verb} --help`,
    );
  }
  return words.length > 0;
}

/** Node's parseArgs, with the same sentences as everywhere. @throws UsageError */
export function parseVerb<const T extends ParseArgsConfig>(
  verb: string,
  config: T,
): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (cause) {
    throw new UsageError(`${sentenceOf(messageOf(cause))}; see ${verb} --help`, { cause });
  }
}

function sentenceOf(words: string): string {
  const [, unknown] = /^Unknown option '(-[^']*)'/.exec(words) ?? [];
  if (unknown !== undefined) return `unknown option ${unknown}`;
  const [, hungry] = /^Option '[^']*?(--[\w-]+)[^']*' argument is ambiguous/.exec(words) ?? [];
  if (hungry !== undefined) return `${hungry} needs a value, and what follows it begins with a dash`;
  const [, option, missing] = /^Option '[^']*?(--[\w-]+)[^']*' (argument)?/.exec(words) ?? [];
  if (option !== undefined) return `${option} ${missing === undefined ? 'takes no value' : 'needs a value'}`;
  const [, word] = /^Unexpected argument '([^']*)'/.exec(words) ?? [];
  return word === undefined ? words : `unexpected word ${word}`;
}

/** Reads the values of `--env NAME=VALUE`. @throws UsageError */
export function variables(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(word) ?? [];
      if (name === undefined || value === undefined) {
        throw new UsageError(`--env ${word} is not understood; write it like LANG=C.UTF-8`);
      }
      return [name, value];
    }),
  );
}
