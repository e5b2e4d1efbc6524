/** What JavaScript does not check of the library's arguments: mistakes are told, where they would be passed over. Pure. */
import { UsageError } from '../errors.ts';
import type { Argv } from '../host.ts';
import type { Command, CommandOptions, RunOptions } from './command.ts';

/** The names of the options of a call. */
export type Names<O> = Readonly<Record<keyof O, true>>;

const COMMAND_NAMES: Names<Required<CommandOptions>> = {
  ...{ cwd: true, env: true, user: true, timeout: true, signal: true },
};
const RUN_NAMES: Names<Required<RunOptions>> = {
  ...COMMAND_NAMES,
  ...{ input: true, stdin: true, stdout: true, stderr: true, maxOutput: true, check: true },
};

/** @throws UsageError when there is an option that `names` does not have */
export function checkNames(what: string, options: object, names: Readonly<Record<string, true>>): void {
  const stranger = Object.keys(options).find((name) => !Object.hasOwn(names, name));
  if (stranger === undefined) return;
  throw new UsageError(`${what} has no option ${stranger}; it has ${Object.keys(names).join(', ')}`);
}

/** @throws UsageError when it is none of them */
export function choice<const T extends string>(name: string, value: string, choices: readonly T[]): T {
  const found = choices.find((each) => each === value);
  if (found === undefined) throw new UsageError(`${name} is ${value}; give one of ${choices.join(', ')}`);
  return found;
}

/** @throws UsageError when it is no time that Node's timers know */
export function seconds(name: string, value: number): number {
  if (!(value > 0 && value <= 2_147_483))
    throw new UsageError(`${name} is ${value}; give seconds, more than 0`);
  return value;
}

/** The argv of a command. @throws UsageError when it is none */
export function argvOf(command: Command): Argv {
  if (typeof command === 'string') return ['sh', '-c', command];
  const words: unknown = command;
  if (Array.isArray(words) && words.length > 0 && words.every((word) => typeof word === 'string')) {
    return command;
  }
  throw new UsageError('a command is a text for the shell, or a program and its arguments; give one of them');
}

/** @throws UsageError */
export function checkCommandOptions(what: 'run' | 'start', options: CommandOptions): void {
  checkNames(what, options, what === 'run' ? RUN_NAMES : COMMAND_NAMES);
  const { timeout, env = {} } = options;
  if (timeout !== undefined) seconds('timeout', timeout);
  const odd = Object.keys(env).find((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  if (odd !== undefined)
    throw new UsageError(`env has ${odd}, which is no name of a variable; take LANG or such`);
}
