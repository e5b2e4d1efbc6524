/** Random command lines: options, or one sentence. Sizes and seed: test/support/fuzz.ts. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseWords } from '../../../src/command-line/parse.ts';
import { OPTIONS } from '../../../src/command-line/table.ts';
import { testbedFromWords } from '../../../src/command-line/testbed-options.ts';
import { UsageError } from '../../../src/errors.ts';
import { isVerb, VERBS } from '../../../src/verbs.ts';
import { parameters, rounds, seed } from '../../support/fuzz.ts';
import { checkSentence } from '../../support/sentence.ts';

const RUNS = rounds({ short: 500, long: 100_000 });

const value = fc.oneof(
  fc.constantFrom(
    'bookworm',
    'amd64',
    'any',
    '/',
    '/tmp',
    '..',
    '',
    '-',
    '--',
    '-x',
    'host',
    'none',
    'private',
    'copy',
    'tmpfs:1g',
    'tmpfs:-1',
    '0',
    '1e9',
    '1000000000000',
    '-1',
    'NaN',
    'json:/tmp/x',
    'text',
    '8080:80',
    '0:0',
    '65536:1',
    '=',
    'a=b',
  ),
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constant('x'.repeat(5000)),
);
const name = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...OPTIONS.map((option) => option.name)) },
  { weight: 1, arbitrary: fc.constantFrom('__proto__', 'constructor', 'no-such', '') },
);
const word = fc.oneof(
  { weight: 4, arbitrary: name.map((each) => `--${each}`) },
  { weight: 4, arbitrary: fc.tuple(name, value).map(([each, text]) => `--${each}=${text}`) },
  {
    weight: 1,
    arbitrary: fc.tuple(name, fc.nat({ max: 6 })).map(([each, length]) => `--${each.slice(0, length)}`),
  },
  { weight: 4, arbitrary: value },
);
const owners = ['server', ...Object.keys(VERBS).filter(isVerb)] as const;

describe(`random command lines (seed ${seed})`, function () {
  this.timeout(0);

  it(`${RUNS} of them: options, or one sentence`, () => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.constantFrom(...owners), fc.array(word, { maxLength: 7 }), (owner, argv) => {
        try {
          const words = parseWords(owner === 'server' || isVerb(owner) ? owner : 'server', argv);
          if (owner === 'server' || owner === 'run' || owner === 'shell') testbedFromWords(words, {});
          accepted += 1;
        } catch (error) {
          if (!(error instanceof UsageError)) throw error;
          checkSentence(error);
        }
      }),
      parameters(RUNS),
    );
    assert.ok(accepted > RUNS / 50, `only ${accepted} were accepted`);
    console.log(`        ${RUNS} command lines, ${accepted} accepted, seed ${seed}`);
  });
});
