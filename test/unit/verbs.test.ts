import assert from 'node:assert/strict';
import { UsageError } from '../../src/errors.ts';
import type { Registered } from '../../src/registry.ts';
import { sudoCaller, takeStayRoot } from '../../src/sudo.ts';
import { choose } from '../../src/verbs/exec.ts';
import { describeLeak } from '../../src/verbs/leaks.ts';
import { age, table } from '../../src/verbs/ps.ts';
import { onlyDebug, parseVerb, sortWords, variables } from '../../src/verbs/words.ts';

describe('words of a verb', () => {
  const spec = { host: 'flag', env: 'value' } as const;

  it('are its own, the testbed’s, or the command’s', () => {
    const words = sortWords(
      'v',
      ['--host', '--env', 'A=1', '-r', 'trixie', '--env=B=2', '--', 'ls', '--host'],
      spec,
    );
    assert.ok(words.has('host'));
    assert.deepEqual(words.all('env'), ['A=1', 'B=2']);
    assert.equal(words.one('env'), 'B=2');
    assert.deepEqual(words.rest, ['-r', 'trixie']);
    assert.deepEqual(words.command, ['ls', '--host']);
  });

  it('may lack a command, and an option its value only by mistake', () => {
    assert.equal(sortWords('v', ['--'], spec).command, undefined);
    assert.equal(sortWords('v', [], spec).one('env'), undefined);
    assert.throws(() => sortWords('v', ['--env'], spec), UsageError);
    assert.throws(() => sortWords('v', ['--host=yes'], spec), UsageError);
  });

  it('are not taken for options by a part of their name', () => {
    assert.deepEqual(sortWords('v', ['--hostname', 'x', '--constructor'], spec).rest, [
      '--hostname',
      'x',
      '--constructor',
    ]);
  });

  it('set variables', () => {
    assert.deepEqual(variables(['A=b=c', 'B=']), { A: 'b=c', B: '' });
    for (const wrong of ['A', '=b', '1=2', 'A-B=c']) assert.throws(() => variables([wrong]), UsageError);
  });
});

describe('mistakes in the words of a verb', () => {
  const config = (args: string[]) =>
    ({
      args,
      options: { json: { type: 'boolean' }, debug: { type: 'boolean', short: 'd' }, age: { type: 'string' } },
    }) as const;

  for (const [args, sentence] of [
    [['--frob'], 'unknown option --frob; see v --help'],
    [['-x'], 'unknown option -x; see v --help'],
    [['word'], 'unexpected word word; see v --help'],
    [['--age'], '--age needs a value; see v --help'],
    [['--age', '--json'], '--age needs a value, and what follows it begins with a dash; see v --help'],
    [['--json=1'], '--json takes no value; see v --help'],
    [['--debug=1'], '--debug takes no value; see v --help'],
  ] as const) {
    it(`are told: ${args.join(' ')}`, () => {
      assert.throws(() => parseVerb('v', config([...args])), new UsageError(sentence));
    });
  }

  it('are told where a verb has no testbed to shape', () => {
    assert.equal(onlyDebug('run', '--host', ['-d', '--debug']), true);
    assert.equal(onlyDebug('run', '--host', []), false);
    assert.throws(
      () => onlyDebug('run', '--host', ['--mode']),
      /--mode does not go with --host; see run --help/,
    );
    assert.throws(() => onlyDebug('run', '--host', ['ls']), /unexpected word ls; put -- before the command/);
  });
});

describe('sudo', () => {
  it('names its caller', () => {
    const env = { SUDO_UID: '1000', SUDO_GID: '1001', SUDO_USER: 'anna' };
    assert.deepEqual(sudoCaller(env), { uid: 1000, gid: 1001, name: 'anna' });
  });

  it('names nobody where root called it, or somebody has tampered', () => {
    for (const env of [
      {},
      { SUDO_UID: '0', SUDO_GID: '0' },
      { SUDO_UID: '-1', SUDO_GID: '1' },
      { SUDO_UID: '5' },
    ]) {
      assert.equal(sudoCaller(env), undefined);
    }
  });

  it('is kept by a word before the command', () => {
    assert.deepEqual(takeStayRoot(['--stay-root', '-h']), { words: ['-h'], stay: true });
    assert.deepEqual(takeStayRoot(['--', '--stay-root']), { words: ['--', '--stay-root'], stay: false });
  });
});

describe('open testbeds', () => {
  const one: Registered = {
    ...{
      pid: 10,
      startTime: '5',
      name: 'a',
      since: 1000,
      root: '/r.tar',
      scratch: '',
      ownNetwork: false,
      owner: 9,
    },
  };

  it('are chosen by name, pid or owner, if that is one', () => {
    const other = { ...one, pid: 11, owner: 9 };
    assert.equal(choose('a', [one]), one);
    assert.equal(choose('11', [one, other]), other);
    assert.equal(choose('9', [one]), one);
    assert.throws(() => choose('a', [one, other]), /2 testbeds are called a; name one by its pid: 10, 11/);
    assert.throws(() => choose('b', [one]), /ps lists those that are open/);
  });

  it('are a table', () => {
    const shown = [
      { ...one, used: 5 * 1024 ** 2, processes: [{ pid: 12, command: 'sleep 9' }] },
      { ...one, pid: 20, scratch: '/scratch', used: undefined, processes: [] },
    ];
    assert.equal(
      table(shown, 61_000, true),
      [
        'PID   NAME     AGE    SCRATCH   PROCESSES  ROOT FILESYSTEM',
        '10    a        1 min  5.0M      1          /r.tar',
        '  12  sleep 9',
        '20    a        1 min  /scratch  0          /r.tar',
        '',
      ].join('\n'),
    );
    assert.equal(table([], 0, false), 'no testbed is open\n');
  });

  it('have an age in two units', () => {
    const ages = [0, 999, 59_000, 61_000, 3_600_000, 90_061_000].map(age);
    assert.deepEqual(ages, ['0 s', '0 s', '59 s', '1 min 1 s', '1 h', '1 d 1 h']);
  });
});

describe('a leak', () => {
  it('is one line for a person', () => {
    assert.equal(
      describeLeak({ kind: 'file', path: '/tmp/x', type: 'link', uid: 5, gid: 5, size: 3 }),
      'link /tmp/x (uid 5)',
    );
    assert.equal(
      describeLeak({ kind: 'ipc', type: 'mqueue', id: '/q', uid: 0, size: 3 }),
      'POSIX message queue /q (uid 0)',
    );
    assert.equal(describeLeak({ kind: 'interface', name: 'eth0' }), 'network interface eth0');
  });
});
