/** JavaScript does not check types, so a wrong argument is reported, not ignored. */
import { isIP } from 'node:net';
import { UsageError } from '../errors.ts';
import type { Argv } from '../host.ts';
import { didYouMean } from '../nearest.ts';
import type { Command, CommandOptions, RunOptions } from './command.ts';

export type Names<O> = Readonly<Record<keyof O, true>>;

const COMMAND_NAMES: Names<Required<CommandOptions>> = {
  ...{ cwd: true, env: true, user: true, timeout: true, signal: true },
};
const RUN_NAMES: Names<Required<RunOptions>> = {
  ...COMMAND_NAMES,
  ...{ input: true, stdin: true, stdout: true, stderr: true, maxOutput: true, check: true },
};
const OUTPUTS = ['text', 'bytes', 'inherit', 'ignore'];

export function notAllowed(name: string, value: unknown, remedy: string): UsageError {
  const shown = typeof value === 'object' && value !== null ? 'an object' : String(value);
  return new UsageError(`${name} is ${shown}`, { code: 'WRONG_VALUE', remedy });
}

/** @param options whatever a caller has given for them */
export function checkNames(what: string, options: unknown, names: Readonly<Record<string, true>>): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw notAllowed(`what ${what} has as options`, options, 'give an object');
  }
  const stranger = Object.keys(options).find((name) => !Object.hasOwn(names, name));
  if (stranger === undefined) return;
  const meant = didYouMean(stranger, Object.keys(names));
  throw new UsageError(`${what} has no option ${stranger}${meant}`, {
    code: 'UNKNOWN_OPTION',
    remedy: `it has ${Object.keys(names).join(', ') || 'no other'}`,
  });
}

export function choice<const T extends string>(name: string, value: string, choices: readonly T[]): T {
  const found = choices.find((each) => each === value);
  if (found === undefined) throw notAllowed(name, value, `give one of ${choices.join(', ')}`);
  return found;
}

/** @throws UsageError when it is no time that Node's timers can wait */
export function seconds(name: string, value: number): number {
  if (!(typeof value === 'number' && value > 0 && value <= 2_147_483)) {
    throw notAllowed(name, value, 'give seconds, more than 0 and at most 2147483');
  }
  return value;
}

export function checkText(name: string, value: unknown, remedy = 'give a text'): void {
  if (value !== undefined && (typeof value !== 'string' || value === '')) {
    throw notAllowed(name, value === '' ? 'empty' : value, remedy);
  }
  if (typeof value === 'string') checkNull(name, value);
}

/** The system ends a text there. */
export function checkNull(name: string, text: string): void {
  if (!text.includes('\0')) return;
  throw new UsageError(`${name} has a null byte`, { code: 'WRONG_VALUE', remedy: 'remove it' });
}

export function checkList(name: string, value: unknown, remedy: string): void {
  if (value !== undefined && !Array.isArray(value)) throw notAllowed(name, value, remedy);
}

/** @param most Infinity: it may be without a limit */
export function checkCount(name: string, value: unknown, most = Number.MAX_SAFE_INTEGER): void {
  if (value === undefined || (value === Infinity && most === Infinity)) return;
  if (!(Number.isSafeInteger(value) && Number(value) >= 1)) {
    throw notAllowed(name, value, 'give a whole number, 1 or more');
  }
}

export function checkPort(port: unknown): number {
  if (typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw notAllowed('port', port, 'give a number from 1 to 65535');
}

export function checkAddress(address: unknown): string {
  if (typeof address === 'string' && isIP(address) !== 0 && !address.includes('%')) return address;
  throw notAllowed('address', address, 'give an IPv4 or IPv6 address');
}

export function argvOf(command: Command): Argv {
  const words: unknown = typeof command === 'string' ? [command] : command;
  if (Array.isArray(words) && words.length > 0 && words.every((word) => typeof word === 'string')) {
    for (const word of words) checkNull('a word of the command', word);
    return typeof command === 'string' ? ['sh', '-c', command] : command;
  }
  throw new UsageError('the command is neither a text nor a list of texts', {
    code: 'WRONG_VALUE',
    remedy: 'give a text for the shell, or a program and its arguments',
  });
}

export function checkRunOptions(options: RunOptions): void {
  checkOptions('run', options, RUN_NAMES);
  const { input, stdin, stdout, stderr, maxOutput, check }: Readonly<Record<string, unknown>> = {
    ...options,
  };
  if (input !== undefined && stdin !== undefined) {
    throw new UsageError('input and stdin exclude each other', {
      code: 'WRONG_OPTION',
      remedy: 'give one of them',
    });
  }
  if (
    input !== undefined &&
    typeof input !== 'string' &&
    !(input instanceof Object && ArrayBuffer.isView(input))
  ) {
    throw notAllowed('input', input, 'give a text or a Uint8Array');
  }
  if (stdin !== undefined && stdin !== 'ignore' && stdin !== 'inherit' && !has(stdin, 'pipe')) {
    throw notAllowed('stdin', stdin, 'give ignore, inherit or a Readable, or a text as input');
  }
  for (const [name, to] of Object.entries({ stdout, stderr })) {
    if (to === undefined || OUTPUTS.some((each) => each === to) || has(to, 'write')) continue;
    throw notAllowed(name, to, `give ${OUTPUTS.join(', ')} or a Writable`);
  }
  checkCount('maxOutput', maxOutput, Infinity);
  if (check !== undefined && typeof check !== 'boolean')
    throw notAllowed('check', check, 'give true or false');
}

export function checkCommandOptions(what: 'run' | 'start', options: CommandOptions): void {
  checkOptions(what, options, COMMAND_NAMES);
}

function checkOptions(
  what: 'run' | 'start',
  options: CommandOptions,
  names: Readonly<Record<string, true>>,
): void {
  checkNames(what, options, names);
  const { timeout, env = {}, signal } = options;
  if (timeout !== undefined) seconds('timeout', timeout);
  checkText('cwd', options.cwd, 'give an absolute path in the testbed');
  checkText('user', options.user, "give a text: the name or the number of a user, as in 'www-data' or '33'");
  if (signal !== undefined && !has(signal, 'addEventListener')) {
    throw notAllowed('signal', signal, 'give an AbortSignal');
  }
  if (typeof env !== 'object' || env === null) throw notAllowed('env', env, 'give an object');
  for (const [name, value] of Object.entries<unknown>(env)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      throw new UsageError(`env has ${name}, which is not the name of a variable`, {
        code: 'WRONG_VALUE',
        remedy: 'use letters, digits and _',
      });
    }
    if (typeof value !== 'string') throw notAllowed(`env.${name}`, value, 'give a text');
    checkNull(`env.${name}`, value);
  }
}

function has(value: unknown, method: string): boolean {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, method) === 'function';
}
