import { UsageError } from '../errors.ts';
import type { Argv } from '../host.ts';
import { type Call, OPTIONS, type Option, type OptionName, type Verb } from './table.ts';

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

export function variables(words: Words): Record<string, string> {
  return Object.fromEntries(
    words.all('env').map((word) => {
      const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(word) ?? [];
      if (name === undefined || value === undefined) {
        throw new UsageError(`--env ${word} does not set a variable`, {
          code: 'WRONG_VALUE',
          remedy: 'write it like --env LANG=C.UTF-8',
        });
      }
      return [name, value];
    }),
  );
}

export function written({ name, values }: Option): string {
  const [first] = values;
  return isOptional(first) ? `--${name}[=${first?.slice(1)}` : [`--${name}`, ...values].join(' ');
}

export function isOptional(value: string | undefined): boolean {
  return /^\[[^\]]*\]$/.test(value ?? '');
}

export type Owner = 'server' | Verb;
