/**
 * Parses the command line as getopt_long(3) and Python's argparse do for autopkgtest-virt-unshare: names may be shortened,
 * options may be repeated, and one may have two values. Node only splits the words.
 */
import { parseArgs } from 'node:util';
import { UsageError } from '../errors.ts';
import type { Argv } from '../host.ts';
import { didYouMean } from '../nearest.ts';
import { remedyForOption } from './elsewhere.ts';
import { isOptional, type Owner, Words, written } from './given.ts';
import type { Option } from './options/option.ts';
import { type OptionName, optionsOf } from './table.ts';

type Known = Option & { readonly name: OptionName };

interface Shape {
  readonly operands: number;
  readonly command: boolean;
  readonly commandNext?: (operands: readonly string[]) => boolean;
}

const SHAPES: Readonly<Record<Owner, Shape>> = {
  server: { operands: 0, command: false },
  run: { operands: 0, command: true },
  shell: { operands: 0, command: true },
  exec: { operands: 1, command: true },
  test: { operands: Number.POSITIVE_INFINITY, command: true },
  close: { operands: Number.POSITIVE_INFINITY, command: false },
  stats: { operands: Number.POSITIVE_INFINITY, command: false },
  logs: { operands: 1, command: false },
  cp: { operands: 2, command: false },
  commit: { operands: Number.POSITIVE_INFINITY, command: false },
  ps: { operands: 0, command: false },
  report: { operands: 1, command: false },
  compare: { operands: 2, command: false },
  doctor: { operands: 0, command: false },
  debci: { operands: Number.POSITIVE_INFINITY, command: false },
  rootfs: { operands: Number.POSITIVE_INFINITY, command: false },
  lab: {
    operands: Number.POSITIVE_INFINITY,
    command: true,
    commandNext: (operands) => operands[0] === 'exec' && operands.length === 3,
  },
};

export function parseWords(owner: Owner, argv: readonly string[]): Words {
  const known = optionsOf(owner);
  const shape = SHAPES[owner];
  const given = new Map<OptionName, string[][]>();
  const operands: string[] = [];
  const tokens = tokenize(known, argv);
  const following = (option: Known, shown: string, first: string | undefined): string[] =>
    option.values.map((placeholder, index) => {
      const isThere = index === 0 && first !== undefined;
      const next = isThere ? undefined : tokens.shift();
      const value = isThere ? first : next?.kind === 'positional' ? next.value : undefined;
      // A word that looks like an option is one: the value was forgotten.
      if (value === undefined || (value.startsWith('-') && value !== '-')) {
        throw usageError(owner, `${shown} needs ${placeholder}`, 'MISSING_VALUE', `write ${written(option)}`);
      }
      return value;
    });
  let command: readonly string[] = [];
  // The option before this word, where its value may be left out.
  let before: Known | undefined;
  for (let token = tokens.shift(); token !== undefined; token = tokens.shift()) {
    if (token.kind === 'option') {
      const { rawName, inlineValue, value } = token;
      const option = rawName.startsWith('--')
        ? byName(owner, known, rawName.slice(2))
        : byLetter(owner, known, rawName);
      const attached = inlineValue === true && rawName.startsWith('--');
      if (attached && option.values.length !== 1) {
        const problem = `${rawName} takes no value by =`;
        throw usageError(owner, problem, 'WRONG_OPTION', `write ${written(option)}`);
      }
      const values = attached
        ? [value ?? '']
        : isOptional(option.values[0])
          ? ['']
          : following(option, rawName, value);
      given.set(option.name, [...(given.get(option.name) ?? []), values]);
      before = !attached && isOptional(option.values[0]) ? option : undefined;
    } else if (token.kind === 'option-terminator' && shape.command) {
      command = argv.slice(token.index + 1);
      break;
    } else if (token.kind === 'positional' && shape.commandNext?.(operands) === true) {
      command = argv.slice(token.index);
      break;
    } else if (token.kind === 'positional' && operands.length < shape.operands) {
      operands.push(token.value);
      before = undefined;
    } else if (token.kind === 'positional' || shape.operands === 0) {
      const word = token.kind === 'positional' ? token.value : '--';
      throw unexpectedWord(owner, word, before);
    }
  }
  const [program, ...args] = command;
  return new Words(given, operands, program === undefined ? undefined : ([program, ...args] satisfies Argv));
}

function tokenize(known: readonly Known[], argv: readonly string[]) {
  const options = Object.fromEntries(
    known.flatMap(({ name, short, values }) =>
      short === undefined
        ? []
        : [[name, { type: values.length > 0 ? ('string' as const) : ('boolean' as const), short }]],
    ),
  );
  return parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true }).tokens;
}

/** An option by an unambiguous start of its name, or one that is unambiguous in autopkgtest-virt-unshare. */
function byName(owner: Owner, known: readonly Known[], text: string): Known {
  const found = known.find(({ name }) => name === text);
  if (found !== undefined) return found;
  const all = text === '' ? [] : known.filter(({ name }) => name.startsWith(text));
  const peers = all.filter(({ peer }) => peer);
  const [first, ...others] = peers.length === 1 ? peers : all;
  if (first === undefined) {
    const remedy = remedyFor(owner, `--${text}`);
    const names = known.map(({ name }) => `--${name}`);
    const meant = remedy === undefined ? didYouMean(`--${text}`, names) : '';
    throw usageError(owner, `unknown option --${text}${meant}`, 'UNKNOWN_OPTION', remedy);
  }
  if (others.length > 0) {
    const names = [first, ...others].map(({ name }) => `--${name}`).join(', ');
    throw usageError(owner, `--${text} may mean ${names}`, 'AMBIGUOUS_OPTION', 'write the whole name');
  }
  return first;
}

function byLetter(owner: Owner, known: readonly Known[], rawName: string): Known {
  const found = known.find(({ short }) => `-${short}` === rawName);
  if (found === undefined) {
    const remedy = remedyFor(owner, rawName);
    throw usageError(owner, `unknown option ${rawName}`, 'UNKNOWN_OPTION', remedy);
  }
  return found;
}

/** @param before the option before it, where its value may be left out */
function unexpectedWord(owner: Owner, word: string, before: Known | undefined): UsageError {
  const image = owner === 'run' || owner === 'shell' ? ' and --release before an image' : '';
  const remedy =
    before !== undefined
      ? `write --${before.name}=${word} where that is its value`
      : SHAPES[owner].command
        ? `put -- before a command${image}, see ${owner} --help`
        : undefined;
  return usageError(owner, `unexpected word ${word}`, 'UNEXPECTED_WORD', remedy);
}

/** For an option that is unknown here. */
function remedyFor(owner: Owner, option: string): string | undefined {
  const ofServer = optionsOf('server').find(({ name, short }) => [`--${name}`, `-${short}`].includes(option));
  return owner === 'test' && ofServer !== undefined
    ? `put options of the testbed behind --, as in test PACKAGE -- ${written(ofServer)}`
    : remedyForOption(owner, option);
}

function usageError(owner: Owner, what: string, code: string, remedy?: string): UsageError {
  return new UsageError(what, {
    code,
    remedy: remedy ?? `see ${owner === 'server' ? '' : `${owner} `}--help`,
  });
}
