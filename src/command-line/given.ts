import { readFileSync } from 'node:fs';
import { reasonOf, UsageError } from '../errors.ts';
import type { Argv } from '../host.ts';
import type { Call, Option, Verb } from './options/option.ts';
import { OPTIONS, type OptionName } from './table.ts';

/** The values of each option in the order given; one without value was given ''. */
type Given = ReadonlyMap<OptionName, readonly (readonly string[])[]>;

export class Words {
  readonly #given: Given;
  readonly operands: readonly string[];
  readonly command: Argv | undefined;

  constructor(given: Given, operands: readonly string[], command: Argv | undefined) {
    this.#given = given;
    this.operands = operands;
    this.command = command;
  }

  has(name: OptionName): boolean {
    return this.#given.has(name);
  }

  one(name: OptionName): string | undefined {
    return this.#given.get(name)?.at(-1)?.[0];
  }

  all(name: OptionName): readonly string[] {
    return (this.#given.get(name) ?? []).map(([value = '']) => value);
  }

  pairs(name: OptionName): readonly (readonly [string, string])[] {
    return (this.#given.get(name) ?? []).map(([first = '', second = '']) => [first, second]);
  }

  /** These options as words of a command line, in the order of the names. */
  argv(names: readonly OptionName[]): string[] {
    return names.flatMap((name) =>
      (this.#given.get(name) ?? []).flatMap((values) => optionWords(name, values)),
    );
  }

  argvWithout(names: readonly OptionName[]): string[] {
    return this.argv([...this.#given.keys()].filter((name) => !names.includes(name)));
  }

  mustFit(call: Call): void {
    const all: readonly (Option & { readonly name: OptionName })[] = OPTIONS;
    const [verb = ''] = call.split(' ');
    for (const name of this.#given.keys()) {
      const calls = all.flatMap((option) => (option.name === name ? option.calls : []));
      if (calls.includes(call)) continue;
      const owners = calls.filter((each) => each.split(' ')[0] === verb);
      throw new UsageError(`the option --${name} cannot be used with ${call}`, {
        code: 'WRONG_OPTION',
        remedy: `it belongs to ${owners.join(', ')}`,
      });
    }
  }
}

function optionWords(name: OptionName, values: readonly string[]): string[] {
  const [first = '', ...others] = values;
  const takesValue = OPTIONS.some((option) => option.name === name && option.values.length > 0);
  if (others.length > 0) return [`--${name}`, first, ...others];
  return [takesValue && first !== '' ? `--${name}=${first}` : `--${name}`];
}

/**
 * What --env-file and --env set; the later of two wins, and --env. A NAME alone has its value in `env`, and is not set where it has none.
 * @throws UsageError
 */
export function variables(words: Words, env: Environment = process.env): Record<string, string> {
  const files = words.all('env-file').flatMap((path) => linesOf(path, env));
  const given = words.all('env').flatMap((word) => pairsOf(word, env, `--env ${word}`, '--env LANG=C.UTF-8'));
  return Object.fromEntries([...files, ...given]);
}

type Environment = Readonly<NodeJS.ProcessEnv>;

/** Where a command of a testbed runs, and with what. @throws UsageError */
export function placeOf(words: Words): {
  readonly env: Record<string, string>;
  readonly cwd?: string;
  readonly user?: string;
} {
  const [cwd, user] = [words.one('workdir') ?? words.one('cwd'), words.one('user')];
  return {
    env: variables(words),
    ...(cwd === undefined ? {} : { cwd }),
    ...(user === undefined ? {} : { user }),
  };
}

function linesOf(path: string, env: Environment): (readonly [string, string])[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new UsageError(`cannot read --env-file ${path}: ${reasonOf(cause)}`, {
      code: 'CANNOT_READ',
      remedy: 'name a file that exists',
      cause,
    });
  }
  return text
    .split('\n')
    .map((line, index) => ({ line: line.trim(), where: `${path}, line ${index + 1},` }))
    .filter(({ line }) => line !== '' && !line.startsWith('#'))
    .flatMap(({ line, where }) => pairsOf(line, env, where, 'LANG=C.UTF-8'));
}

/** None for a variable of the caller that is not set. */
function pairsOf(
  text: string,
  env: Environment,
  where: string,
  example: string,
): (readonly [string, string])[] {
  const [, name, , given] = /^([A-Za-z_][A-Za-z0-9_]*)(=(.*))?$/s.exec(text) ?? [];
  if (name === undefined) {
    throw new UsageError(`${where} does not set a variable`, {
      code: 'WRONG_VALUE',
      remedy: `write it like ${example}, or without =VALUE for the value that it has in your environment`,
    });
  }
  const value = given ?? env[name];
  return value === undefined ? [] : [[name, value]];
}

export function written({ name, values }: Option): string {
  const [first] = values;
  return isOptional(first) ? `--${name}[=${first?.slice(1)}` : [`--${name}`, ...values].join(' ');
}

export function isOptional(value: string | undefined): boolean {
  return /^\[[^\]]*\]$/.test(value ?? '');
}

export type Owner = 'server' | Verb;
