/**
 * Random requests, each with what the server must make of it. What is expected comes from protocol.md, not from the server's own
 * parser.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import {
  CommandTimeoutError,
  CopyError,
  CopyTimeoutError,
  TestbedError,
  type VirtError,
} from '../../../src/errors.ts';

/** What the fake testbed is asked, and what it makes of that. */
export interface Call {
  readonly method:
    | 'run'
    | 'copyIn'
    | 'copyOut'
    | 'revert'
    | 'snapshot'
    | 'reboot'
    | 'shell'
    | 'open'
    | 'close';
  /** The arguments, as JSON with bytes as hexadecimal digits. */
  readonly args: string;
  readonly failure: VirtError | RangeError | undefined;
  /** Behind `ok`. */
  readonly answer: string;
}

/** A line without its newline, as latin1, and its meaning in each state. `undefined`: misuse. */
export interface Step {
  readonly line: string;
  readonly closed: Meaning | undefined;
  readonly open: Meaning | undefined;
}

export type Meaning =
  | { readonly kind: 'answer'; readonly reply: string }
  | { readonly kind: 'call'; readonly call: Call }
  | { readonly kind: 'quit' };

const CAPABILITIES = 'ok revert revert-full-system reboot root-on-testbed suggested-normal-user=user';

/** Bytes as a word that has them, some percent-encoded; `safe` are the bytes that may stand for themselves. */
function encoded(bytes: Buffer, coins: number, keep: (byte: number) => boolean): string {
  return [...bytes]
    .map((byte, index) => {
      const plain = keep(byte) && byte !== 0x25 && (coins >> (index % 24)) % 2 === 0;
      const digits = byte.toString(16).padStart(2, '0');
      return plain ? String.fromCharCode(byte) : `%${index % 2 === 0 ? digits : digits.toUpperCase()}`;
    })
    .join('');
}

const isBlank = (byte: number) => [0x20, 0x09, 0x0a, 0x0b, 0x0c, 0x0d].includes(byte);
const inWord = (byte: number) => byte !== 0 && !isBlank(byte);
const inList = (byte: number) => inWord(byte) && byte !== 0x2c;

interface Word {
  readonly text: string;
  readonly bytes: Buffer;
}

const coins = fc.integer({ min: 0, max: 2 ** 24 });
const aByte = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0x21, max: 0x7e }) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 255 }) },
);
const someBytes = (minLength: number) =>
  fc.array(aByte, { minLength, maxLength: 12 }).map((bytes) => Buffer.from(bytes));
const word = (bytes: fc.Arbitrary<Buffer>, keep: (byte: number) => boolean): fc.Arbitrary<Word> =>
  fc.tuple(bytes, coins).map(([value, bits]) => ({ text: encoded(value, bits, keep), bytes: value }));
const utf8 = (minLength: number) =>
  fc
    .string({ unit: 'binary', minLength, maxLength: 8 })
    .map((text) => Buffer.from(text.replaceAll('\0', '0')));

/** A name of a command as it may be written: `_` for `-`, percent-encoded. */
const verbWord = (verb: string): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 6, arbitrary: fc.constant(verb) },
    { weight: 1, arbitrary: fc.constant(verb.replaceAll('-', '_')) },
    { weight: 1, arbitrary: coins.map((bits) => encoded(Buffer.from(verb), bits, inWord)) },
  );

const blanks = fc.oneof(
  { weight: 8, arbitrary: fc.constant(' ') },
  { weight: 1, arbitrary: fc.constantFrom('  ', '\t', ' \t ', '\v', '\f', '\r') },
);
const edge = fc.oneof(
  { weight: 10, arbitrary: fc.constant('') },
  { weight: 1, arbitrary: fc.constantFrom(' ', '\t', '\r') },
);

function line(words: readonly fc.Arbitrary<string>[]): fc.Arbitrary<string> {
  return fc
    .tuple(edge, fc.tuple(...words), fc.array(blanks, { minLength: 20, maxLength: 20 }), edge)
    .map(
      ([before, texts, between, after]) =>
        before +
        texts.map((text, index) => (index === 0 ? text : `${between[index % 20]}${text}`)).join('') +
        after,
    );
}

const failures = (...makers: (() => VirtError | RangeError)[]) =>
  fc.oneof(
    { weight: 12, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constantFrom(...makers).map((make) => make()) },
  );
const broken = () => new TestbedError('pid 1 of the testbed is gone', { remedy: 'look at the log' });
const surprise = () => new RangeError('surprise');

/** A request without words. */
function plain(verb: string, meaning: Pick<Step, 'open' | 'closed'>): fc.Arbitrary<Step> {
  return line([verbWord(verb)]).map((text) => ({ line: text, ...meaning }));
}

function calling(
  verb: string,
  method: Call['method'],
  answer: string,
  when: 'open' | 'closed',
): fc.Arbitrary<Step> {
  return fc.tuple(line([verbWord(verb)]), failures(broken, surprise)).map(([text, failure]) => {
    const meaning: Meaning = { kind: 'call', call: { method, args: '[]', failure, answer } };
    return {
      line: text,
      open: when === 'open' ? meaning : undefined,
      closed: when === 'closed' ? meaning : undefined,
    };
  });
}

const SCRATCH = ' /tmp/scratch%20dir';

const copies: fc.Arbitrary<Step> = fc
  .tuple(
    fc.constantFrom('copydown' as const, 'copyup' as const),
    fc.boolean(),
    someBytes(1),
    someBytes(1),
    failures(
      () => new CopyError('no such file'),
      () => new CopyTimeoutError('too slow'),
      broken,
      surprise,
    ),
    coins,
  )
  .chain(([verb, slash, from, to, failure, bits]) => {
    const paths = [from, to].map((path) => Buffer.concat([path, Buffer.from(slash ? '/' : '.')]));
    const words = paths.map((path) => fc.constant(encoded(path, bits, inWord)));
    const call: Call = {
      method: verb === 'copydown' ? 'copyIn' : 'copyOut',
      args: JSON.stringify(paths.map((path) => path.toString('hex'))),
      ...{ failure, answer: '' },
    };
    return line([verbWord(verb), ...words]).map((text) => ({
      line: text,
      closed: undefined,
      open: { kind: 'call' as const, call },
    }));
  });

const shells: fc.Arbitrary<Step> = fc.tuple(word(utf8(1), inWord), coins).chain(([directory]) =>
  line([verbWord('shell'), fc.constant(directory.text)]).map((text) => ({
    line: text,
    closed: undefined,
    // There is no terminal, so it is only reported that no shell was opened.
    open: { kind: 'answer' as const, reply: 'ok' },
  })),
);

/** For the files of commands. Damaged requests create others in it: its name has one more part. */
export const FOLDER = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-fuzz-'));
const FILE = join(mkdtempSync(join(FOLDER, 'files-')), 'o');

interface Keyword {
  readonly text: string;
  readonly option: readonly [name: string, value: unknown];
}
const keyword = (name: string, values: fc.Arbitrary<Buffer>): fc.Arbitrary<Keyword> =>
  word(values, inWord).map(({ text, bytes }) => ({
    text: `${name}=${text}`,
    option: [name, bytes.toString('utf8')],
  }));
const NAME = fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,5}$/);
const variable: fc.Arbitrary<Keyword> = fc.tuple(NAME, utf8(0), coins).map(([name, value, bits]) => ({
  text: `env=${encoded(Buffer.concat([Buffer.from(`${name}=`), value]), bits, inWord)}`,
  option: ['env', [name, value.toString('utf8')]],
}));
const time: fc.Arbitrary<Keyword> = fc
  .oneof(fc.integer({ min: 1, max: 2_147_483 }).map(String), fc.constantFrom('0.5', '3.25', '00007'))
  .map((text) => ({ text: `timeout=${text}`, option: ['timeout', Number(text)] }));

const commands: fc.Arbitrary<Step> = fc
  .tuple(
    fc.array(word(utf8(0), inList), { maxLength: 4 }),
    word(utf8(1), inList),
    fc.uniqueArray(fc.oneof(keyword('cwd', utf8(1)), keyword('user', utf8(1)), time), {
      selector: ({ option }) => option[0],
      maxLength: 3,
    }),
    fc.array(variable, { maxLength: 3 }),
    fc.boolean(),
    fc.integer({ min: 0, max: 253 }),
    failures(() => new CommandTimeoutError('took longer'), broken, surprise),
  )
  .chain(([args, program, keywords, variables, withFiles, status, failure]) => {
    const env = Object.fromEntries(variables.map(({ option }) => option[1] as [string, string]));
    const options = Object.fromEntries(keywords.map(({ option }) => option));
    const argv = [program, ...args];
    const call: Call = {
      method: 'run',
      args: JSON.stringify([
        argv.map(({ bytes }) => bytes.toString('utf8')),
        {
          ...{ cwd: options.cwd, user: options.user, timed: options.timeout !== undefined },
          env: Object.entries(env).sort(),
          files: withFiles ? 3 : 0,
        },
      ]),
      ...{ failure, answer: ` ${status}` },
    };
    const words = [
      argv.map(({ text }) => text).join(','),
      ...[...keywords, ...variables].map(({ text }) => text),
      ...(withFiles ? ['stdin=/dev/null', `stdout=${FILE}`, `stderr=${FILE.replace(/o$/, '%6f')}`] : []),
    ];
    return line([verbWord('command'), ...words.map((text) => fc.constant(text))]).map((text) => ({
      line: text,
      closed: undefined,
      open: { kind: 'call' as const, call },
    }));
  });

/** What is misuse in every state. */
const misuses: fc.Arbitrary<Step> = fc
  .oneof(
    fc.constantFrom('', ' ', '\t \r', '%6', 'open %zz', 'constructor', '__proto__', 'OPEN', 'opens'),
    fc.constantFrom('open now', 'close %', 'quit quit', 'capabilities all', 'reboot now', 'reboot a b'),
    fc.constantFrom('copyup /a', 'copydown /a/ /b', 'copyup /a /b/', 'copyup /%00 /b', 'copyup /a /b /c'),
    fc.constantFrom('command', 'command ,a', 'command %ff', 'command a%', 'command a b', 'command a %'),
    fc.constantFrom('command a cwd=', 'command a env==b', 'command a env=', 'command a env=%ff=1'),
    fc.constantFrom(
      'command a timeout=0',
      'command a timeout=1e9',
      'command a timeout=-1',
      'command a timeout=',
    ),
    fc.constantFrom('command a timeout=99999999999', 'command a cwd=/ cwd=/', 'command a stdin=/dev'),
    fc.constantFrom('command a stdin=/no/such/file', 'command a stdout=/no/such/file', 'command a stdout=/'),
    fc.constantFrom('shell / FOO', 'shell %ff', 'shell / =1', 'op\0en', 'open\0'),
    // Anything that does not begin with a letter of a command is none.
    fc.string({ unit: 'binary', maxLength: 40 }).map((text) => `!${text.replaceAll(/[\n]/g, '?')}`),
  )
  .map((text) => ({
    line: Buffer.from(text, 'latin1').toString('latin1'),
    open: undefined,
    closed: undefined,
  }));

const answer = (reply: string): Meaning => ({ kind: 'answer', reply });
const QUIT: Meaning = { kind: 'quit' };

/** Requests of every kind; misuse is rare, since it ends the session. */
export const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: calling('open', 'open', SCRATCH, 'closed') },
  { weight: 2, arbitrary: calling('close', 'close', '', 'open') },
  { weight: 4, arbitrary: calling('revert', 'revert', SCRATCH, 'open') },
  { weight: 3, arbitrary: calling('snapshot', 'snapshot', SCRATCH, 'open') },
  { weight: 3, arbitrary: calling('reboot', 'reboot', '', 'open') },
  { weight: 6, arbitrary: copies },
  { weight: 8, arbitrary: commands },
  { weight: 1, arbitrary: shells },
  {
    weight: 2,
    arbitrary: plain('capabilities', { open: answer(CAPABILITIES), closed: answer(CAPABILITIES) }),
  },
  {
    weight: 2,
    arbitrary: plain('print-execute-command', {
      open: answer('ok /x/execute.sh,a%2Cb,%25'),
      closed: undefined,
    }),
  },
  { weight: 1, arbitrary: plain('auxverb-debug-fail', { open: answer('ok'), closed: answer('ok') }) },
  { weight: 1, arbitrary: plain('quit', { open: QUIT, closed: QUIT }) },
  { weight: 1, arbitrary: misuses },
);

/** A session: mostly one that opens first, because little can be done else. */
export const sessions: fc.Arbitrary<readonly Step[]> = fc
  .tuple(
    fc.option(calling('open', 'open', SCRATCH, 'closed'), { freq: 5 }),
    fc.array(steps, { maxLength: 14 }),
    fc.option(plain('quit', { open: QUIT, closed: QUIT }), { freq: 3 }),
  )
  .map(([first, middle, last]) => [first, ...middle, last].filter((step) => step !== null));

/** What a server must do with a session. */
export interface Expected {
  readonly replies: readonly string[];
  readonly calls: readonly Call[];
  readonly status: number;
  /** Whether the end of the session is reported on stderr. */
  readonly reported: boolean;
}

/** Follows protocol.md. */
export function expected(session: readonly Step[]): Expected {
  const replies: string[] = [];
  const calls: Call[] = [];
  let open = false;
  const end = (status: number, reported: boolean): Expected => ({ replies, calls, status, reported });
  for (const step of session) {
    const meaning = open ? step.open : step.closed;
    if (meaning === undefined) return end(12, true);
    if (meaning.kind === 'quit') {
      replies.push('ok');
      return end(0, false);
    }
    if (meaning.kind === 'answer') {
      replies.push(meaning.reply);
      continue;
    }
    const { call } = meaning;
    calls.push(call);
    const { failure } = call;
    if (failure === undefined) replies.push(`ok${call.answer}`);
    else if (failure instanceof CopyTimeoutError || failure instanceof CommandTimeoutError)
      replies.push('timeout');
    else if (failure instanceof CopyError) replies.push('copy-failed');
    else return end(failure instanceof RangeError ? 16 : 12, true);
    if (call.method === 'open') open = true;
    if (call.method === 'close') open = false;
  }
  return end(12, true);
}
