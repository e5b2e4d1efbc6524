import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { variables } from '../../../src/command-line/given.ts';
import type { Option } from '../../../src/command-line/options/option.ts';
import { parseWords } from '../../../src/command-line/parse.ts';
import { OPTIONS } from '../../../src/command-line/table.ts';
import { UsageError } from '../../../src/errors.ts';

describe('the words of a verb', () => {
  it('are options, and the command behind --', () => {
    const argv = ['--host', '--env', 'A=1', '-r', 'trixie', '--env=B=2', '--', 'ls', '--host'];
    const words = parseWords('run', argv);
    assert.ok(words.has('host') && !words.has('root'));
    assert.deepEqual(words.all('env'), ['A=1', 'B=2']);
    assert.deepEqual(
      [words.one('env'), words.one('release'), words.one('cwd')],
      ['B=2', 'trixie', undefined],
    );
    assert.deepEqual(words.command, ['ls', '--host']);
  });

  it('may lack a command', () => {
    assert.equal(parseWords('run', ['--']).command, undefined);
    assert.equal(parseWords('run', []).command, undefined);
  });

  it('know a whole name before the start of another', () => {
    assert.deepEqual([...parseWords('run', ['--hostname', 'x']).all('hostname')], ['x']);
    assert.equal(parseWords('run', ['--host']).has('hostname'), false);
  });

  it('are operands, also behind options and behind --', () => {
    const { operands } = parseWords('rootfs', ['remove', '-d', 'one', '--', '-two']);
    assert.deepEqual(operands, ['remove', 'one', '-two']);
  });

  it('are the command of a laboratory host from its first word on, with its own options', () => {
    for (const argv of [
      ['exec', 'file', 'host', 'ls', '-l', '--user', 'x'],
      ['--name', 'other', 'exec', 'file', 'host', 'ls', '-l', '--user', 'x'],
      ['exec', 'file', 'host', '--', 'ls', '-l', '--user', 'x'],
    ]) {
      const words = parseWords('lab', argv);
      assert.deepEqual(words.operands, ['exec', 'file', 'host']);
      assert.deepEqual(words.command, ['ls', '-l', '--user', 'x']);
      assert.equal(words.has('user'), false);
    }
    assert.deepEqual(parseWords('lab', ['link', 'f', 'h', 'loss=1%']).operands, [
      'link',
      'f',
      'h',
      'loss=1%',
    ]);
  });

  for (const [verb, argv, code] of [
    ['ps', ['--frob'], 'UNKNOWN_OPTION'],
    ['ps', ['--constructor'], 'UNKNOWN_OPTION'],
    ['ps', ['--__proto__'], 'UNKNOWN_OPTION'],
    ['ps', ['--release', 'x'], 'UNKNOWN_OPTION'],
    ['ps', ['-x'], 'UNKNOWN_OPTION'],
    ['ps', ['word'], 'UNEXPECTED_WORD'],
    ['ps', ['--', 'word'], 'UNEXPECTED_WORD'],
    ['run', ['ls'], 'UNEXPECTED_WORD'],
    ['exec', ['one', 'ls'], 'UNEXPECTED_WORD'],
    ['run', ['--env'], 'MISSING_VALUE'],
    ['rootfs', ['prune', '--max-age', '--max-size=1G'], 'MISSING_VALUE'],
    ['ps', ['--json=1'], 'WRONG_OPTION'],
    ['run', ['--host=yes'], 'WRONG_OPTION'],
  ] as const) {
    it(`are not ${verb} ${argv.join(' ')}`, () => {
      assert.throws(
        () => parseWords(verb, argv),
        (error) => error instanceof UsageError && error.code === code,
      );
    });
  }

  for (const [verb, argv, message] of [
    [
      'run',
      ['-it', 'trixie'],
      'unknown option -i; leave it out: where this program has a terminal, the command has one',
    ],
    ['run', ['--rm'], 'unknown option --rm; leave it out: a testbed is removed at its end'],
    ['shell', ['-v', '/a:/b'], 'unknown option -v; write --bind OUTSIDE INSIDE'],
    ['run', ['--volume=/a:/b'], 'unknown option --volume; write --bind OUTSIDE INSIDE'],
    ['logs', ['--tail', '5'], 'unknown option --tail; write virt-ts-unshare logs NAME | tail'],
    ['ps', ['--rm'], 'unknown option --rm; see ps --help'],
    [
      'test',
      ['.', '-r', 'trixie'],
      'unknown option -r; put options of the testbed behind --, as in test PACKAGE -- --release NAME',
    ],
    [
      'test',
      ['--network=none'],
      'unknown option --network; put options of the testbed behind --, as in test PACKAGE -- --network host|none|private',
    ],
    [
      'run',
      ['trixie'],
      'unexpected word trixie; put -- before a command and --release before an image, see run --help',
    ],
    ['run', ['--init', 'systemd'], 'unexpected word systemd; write --init=systemd where that is its value'],
    [
      'server',
      ['--report-leaks', 'json'],
      'unexpected word json; write --report-leaks=json where that is its value',
    ],
    ['exec', ['web', 'ls'], 'unexpected word ls; put -- before a command, see exec --help'],
  ] as const) {
    it(`of other calls or programs are named: ${verb} ${argv.join(' ')}`, () => {
      assert.throws(() => parseWords(verb, argv), { message });
    });
  }

  it('fit one kind of use only', () => {
    const onHost = parseWords('run', ['--host', '--mode', 'copy']);
    assert.throws(() => onHost.mustFit('run --host'), /--mode cannot be used with run --host/);
    assert.throws(() => parseWords('run', ['--root']).mustFit('run'), { code: 'WRONG_OPTION' });
    assert.throws(() => parseWords('rootfs', ['list', '--arch', 'x']).mustFit('rootfs list'), UsageError);
    parseWords('run', ['--host', '--root', '--debug', '--stay-root']).mustFit('run --host');
  });

  it('set the variables of a file, and those of --env after it', () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-env-'));
    try {
      const path = join(folder, 'env');
      writeFileSync(path, '# a comment\n\nA=b=c\n  B=2\nEMPTY=\n');
      const words = (...more: string[]) => parseWords('run', ['--env-file', path, ...more]);
      assert.deepEqual(variables(words('--env', 'B=3')), { A: 'b=c', B: '3', EMPTY: '' });
      writeFileSync(path, 'A=1\nB\nUNSET\n');
      assert.deepEqual(variables(words(), { A: '9', B: 'of the caller' }), { A: '1', B: 'of the caller' });
      writeFileSync(path, 'A=1\nnot a variable\n');
      assert.throws(
        () => variables(words()),
        /env, line 2, does not set a variable; write it like LANG=C\.UTF-8/,
      );
      rmSync(path);
      assert.throws(() => variables(words()), { code: 'CANNOT_READ' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('set variables', () => {
    const set = (...values: string[]) =>
      variables(
        parseWords(
          'run',
          values.map((value) => `--env=${value}`),
        ),
      );
    assert.deepEqual(set('A=b=c', 'B='), { A: 'b=c', B: '' });
    for (const wrong of ['=b', '1=2', 'A-B=c', 'A-B', '']) assert.throws(() => set(wrong), UsageError);
  });
});

describe('--env without a value', () => {
  const set = (env: Record<string, string>, ...words: string[]) => variables(parseWords('run', words), env);

  it('passes the value of the caller, and nothing where it has none', () => {
    const env = { LANG: 'de_DE.UTF-8', EMPTY: '' };
    assert.deepEqual(set(env, '-e', 'LANG', '-e', 'EMPTY', '--env=UNSET'), {
      LANG: 'de_DE.UTF-8',
      EMPTY: '',
    });
    assert.deepEqual(set(env, '-e', 'LANG', '-e', 'LANG=C'), { LANG: 'C' });
    assert.deepEqual(set(env, '-e', 'LANG='), { LANG: '' });
  });
});

describe('the table of options', () => {
  it('has no name or letter twice in one call', () => {
    const options: readonly Option[] = OPTIONS;
    const uses = options.flatMap(({ name, short, calls }) =>
      calls.flatMap((call) => [`${call} --${name}`, ...(short === undefined ? [] : [`${call} -${short}`])]),
    );
    assert.deepEqual(uses, [...new Set(uses)]);
  });
});
