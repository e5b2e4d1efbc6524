/** Every option of the program, as data: the source of the parser, of --help, man pages and completions. */

import { COMMAND } from './options/command.ts';
import type { Call, Option, Verb } from './options/option.ts';
import { OTHER } from './options/other.ts';
import { ROOT_FILESYSTEM } from './options/root-filesystem.ts';
import { TESTBED } from './options/testbed.ts';
import { TESTS } from './options/tests.ts';

/** A name occurs twice where verbs mean different things by it. */
export const OPTIONS = [...ROOT_FILESYSTEM, ...TESTBED, ...COMMAND, ...TESTS, ...OTHER] as const;

export type OptionName = (typeof OPTIONS)[number]['name'];

export function optionsOf(call: Call | Verb): readonly (Option & { readonly name: OptionName })[] {
  const all: readonly (Option & { readonly name: OptionName })[] = OPTIONS;
  return all.filter(({ calls }) => calls.some((each) => each === call || each.startsWith(`${call} `)));
}

/** The help of an option of this verb, behind the sub-commands that have it where others of the verb do not. */
export function helpOf(verb: string, { calls, help }: Option): string {
  const commandsOf = (all: readonly Call[]) => all.filter((call) => call.startsWith(`${verb} `));
  const own = commandsOf(calls).filter((call) => !call.includes('--'));
  const every = new Set(OPTIONS.flatMap((option) => commandsOf(option.calls)));
  const hasAll = own.length === 0 || own.length === every.size || calls.some((call) => call === verb);
  return hasAll ? help : `${own.map((call) => call.slice(verb.length + 1)).join(', ')}: ${help}`;
}
