/** Random files of laboratories: a laboratory, or one sentence. Sizes and seed: test/support/fuzz.ts. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { UsageError } from '../../../src/errors.ts';
import { parseLab } from '../../../src/lab/file.ts';
import { parameters, rounds, seed } from '../../support/fuzz.ts';
import { checkSentence } from '../../support/sentence.ts';

const RUNS = rounds({ short: 300, long: 50_000 });

const scalar = fc.oneof(
  fc.constantFrom<unknown>(
    'lan',
    'wan',
    '10.1.0.2',
    '10.1.0.0/24',
    'fd00::/64',
    'fd00::1',
    '8080:80',
    '5ms',
    '1%',
    'ns',
  ),
  fc.constantFrom<unknown>(
    null,
    true,
    0,
    -1,
    1e300,
    Number.NaN,
    '',
    '..',
    '/',
    'a\0b',
    '\x1b[2J',
    '10mbit',
    '0.0.0.0/0',
  ),
  fc.string({ unit: 'binary', maxLength: 6 }),
);
const key = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.constantFrom(
      'root',
      'networks',
      'hosts',
      'dns',
      'search',
      'outside',
      'name',
      'address',
      'routes',
      'gateway',
      'forward',
    ),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      'publish',
      'link',
      'latency',
      'loss',
      'binds',
      'binds-ro',
      'commands',
      'daemons',
      'subnet',
      'lan',
      'wan',
      'ns',
      'tarball',
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom('__proto__', 'constructor', 'toString', '', 'x'.repeat(300)) },
);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(key, tie('value'), { maxKeys: 4 }),
  ),
}));
const subnets = fc.constantFrom('10.1.0.0/24', '10.2.0.0/30', 'fd00:1::/64');
const host = fc.dictionary(key, value, { maxKeys: 3 });
/** Some that are right but for one place. */
const files = fc.oneof(
  value,
  fc.record({
    networks: fc.dictionary(
      fc.constantFrom('lan', 'wan'),
      fc.oneof({ weight: 6, arbitrary: subnets }, { weight: 1, arbitrary: value }),
    ),
    hosts: fc.dictionary(
      fc.constantFrom('ns', 'web'),
      fc.oneof(host, fc.record({ networks: fc.record({ lan: scalar }) })),
    ),
  }),
);
/** Text that only YAML's own syntax makes: anchors, tags, merges, directives. */
const syntax = fc
  .array(
    fc.constantFrom(
      '*a',
      '&a ',
      '!!js/function ',
      '!!binary ',
      '<<: ',
      '{',
      '}',
      '[',
      ']',
      ': ',
      '- ',
      '\n',
      '  ',
      '%YAML 9.9',
      '---\n',
      '? ',
      '|\n',
      'networks:',
      'hosts:',
      "'",
      '"',
      '\t',
      '#',
      '\0',
      '\ufeff',
    ),
    { maxLength: 20 },
  )
  .map((parts) => parts.join(''));
const texts = fc.oneof(
  { weight: 3, arbitrary: files.map((each) => stringify(each) ?? '') },
  { weight: 1, arbitrary: syntax },
  {
    weight: 1,
    arbitrary: fc.tuple(files, syntax, fc.nat()).map(([each, part, at]) => {
      const text = stringify(each) ?? '';
      const place = text.length === 0 ? 0 : at % text.length;
      return text.slice(0, place) + part + text.slice(place);
    }),
  },
);

describe(`random files of laboratories (seed ${seed})`, function () {
  this.timeout(0);

  it(`${RUNS} of them: a laboratory, or one sentence`, () => {
    let laboratories = 0;
    fc.assert(
      fc.property(texts, (text) => {
        try {
          const lab = parseLab(text, '/srv/lab.yaml');
          laboratories += 1;
          assert.ok(lab.hosts.length > 0 && lab.networks.length > 0);
        } catch (error) {
          if (!(error instanceof UsageError)) throw error;
          checkSentence(error);
        }
      }),
      parameters(RUNS),
    );
    console.log(`        ${RUNS} files, ${laboratories} laboratories, seed ${seed}`);
  });
});
