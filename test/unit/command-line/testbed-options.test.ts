import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { parseWords } from '../../../src/command-line/parse.ts';
import { testbedFromWords } from '../../../src/command-line/testbed-options.ts';
import { UsageError } from '../../../src/errors.ts';

function testbed(...argv: string[]) {
  return testbedFromWords(parseWords('server', argv), {});
}

describe('options', () => {
  it('have defaults', () => {
    const options = testbed();
    assert.deepEqual(JSON.parse(JSON.stringify(options)), {
      root: {},
      binds: [],
      scratch: { kind: 'auto' },
      mode: 'overlay',
      network: 'host',
      publish: [],
      drainTimeout: 10,
      copyTimeout: 300,
    });
    assert.ok(Object.isFrozen(options));
  });

  it('are those of autopkgtest-virt-unshare', () => {
    const short = testbed(
      '-t',
      'x.tar',
      '-r',
      'sid',
      '-a',
      'arm64',
      '-b',
      'in',
      '/out',
      '-m',
      'M',
      '-d',
      '-u',
      'U',
    );
    const long = testbed(
      ...'tarball=x.tar release=sid arch=arm64 bind in /out mirror=M debug unpack-dir=U'
        .split(' ')
        .map((word) => (/^(in|\/out)$/.test(word) ? word : `--${word}`)),
    );
    assert.deepEqual(short, long);
    assert.deepEqual(JSON.parse(JSON.stringify(short)), {
      root: { tarball: 'x.tar', release: 'sid', arch: 'arm64', mirror: 'M' },
      binds: [{ outside: resolve('in'), inside: '/out' }],
      scratch: { kind: 'directory', path: resolve('U'), create: true },
      mode: 'overlay',
      network: 'host',
      publish: [],
      drainTimeout: 10,
      copyTimeout: 300,
    });
    assert.equal(
      testbed('--bootstrapcmd', 'mmdebstrap --variant=apt').root.bootstrapcmd,
      'mmdebstrap --variant=apt',
    );
    assert.deepEqual(testbed('-r', '*', '-a*').root, testbed().root);
    assert.deepEqual(testbed('-m', '', '--prefix=', '-u', ''), testbed());
  });

  it('may follow their letter at once, be shortened, and be given again', () => {
    assert.equal(testbed('-rbookworm').root.release, 'bookworm');
    assert.equal(testbed('--tarb', 'a').root.tarball, 'a');
    assert.equal(testbed('-t', 'a', '--tarball=b').root.tarball, 'b');
    assert.deepEqual(testbed('-b', '/a', '/b', '--bind', '/c', '/d').binds, [
      { outside: '/a', inside: '/b' },
      { outside: '/c', inside: '/d' },
    ]);
    assert.deepEqual(testbed('--bind-ro', '/a', '/b', '--bin', '/c', '/d').binds, [
      { outside: '/c', inside: '/d' },
      { outside: '/a', inside: '/b', readOnly: true },
    ]);
    for (const [start, value, option] of [
      ['--m', 'M', 'mirror'],
      ['--re', 'sid', 'release'],
    ] as const) {
      assert.equal(testbed(start, value).root[option], value, "the peer's, though one of ours starts so too");
    }
    assert.equal(testbed('--max-c', '1k').maxCopyBytes, 1024);
    const both = parseWords('server', ['-drsid']);
    assert.ok(both.has('debug') && both.one('release') === 'sid');
  });

  for (const release of ['experimental', 'UNRELEASED', 'trixie-backports', 'bookworm-security', 'rc-buggy']) {
    it(`know the release ${release}`, () => assert.equal(testbed('-r', release).root.release, release));
  }

  it('place the scratch', () => {
    assert.deepEqual(testbed('--scratch=tmpfs').scratch, { kind: 'tmpfs', size: undefined });
    assert.deepEqual(testbed('--scratch=tmpfs:2g').scratch, { kind: 'tmpfs', size: '2g' });
    assert.deepEqual(testbed('--scratch', 'there').scratch, { kind: 'directory', path: resolve('there') });
    assert.deepEqual(testbed('--scratch=./tmpfs').scratch, { kind: 'directory', path: resolve('tmpfs') });
    assert.deepEqual(testbed('-p', '/dev/shm/a.').scratch, { kind: 'directory', path: '/dev/shm' });
    assert.deepEqual(testbed('-p', '/dev/shm/').scratch, { kind: 'directory', path: '/dev/shm' });
    assert.deepEqual(testbed('-p', 'a.').scratch, { kind: 'directory', path: tmpdir() });
    assert.deepEqual(testbed('-p', 'a/b').scratch, { kind: 'directory', path: `${tmpdir()}/a` });
    assert.deepEqual(testbed('-p', '/a/b', '-u', '/c').scratch, {
      kind: 'directory',
      path: '/c',
      create: true,
    });
  });

  it('count sizes and times', () => {
    assert.equal(testbed('--max-copy=12').maxCopyBytes, 12);
    assert.equal(testbed('--max-copy=3k').maxCopyBytes, 3 * 1024);
    assert.equal(testbed('--max-copy=2G').maxCopyBytes, 2 * 1024 ** 3);
    assert.equal(testbed('--max-memory=2G').maxMemory, 2 * 1024 ** 3);
    assert.equal(testbed('--max-processes=100').maxProcesses, 100);
    assert.equal(testbed('--drain-timeout=0.5').drainTimeout, 0.5);
    const env = { AUTOPKGTEST_VIRT_COPY_TIMEOUT: '7' };
    assert.equal(testbedFromWords(parseWords('server', []), env).copyTimeout, 7);
  });

  it('report leaks as text by default', () => {
    assert.equal(testbed('--report-leaks').reportLeaks, 'text');
    assert.equal(testbed('--report-leaks=json').reportLeaks, 'json');
    const { reportLeaks, leakFile } = testbed('--report-leaks=text:/a:b');
    assert.deepEqual([reportLeaks, leakFile], ['text', '/a:b']);
  });

  it('have the init of the image with a private network, unless another is given', () => {
    assert.equal(testbed('--network=private').init, 'auto');
    assert.equal(testbed('--network=private', '--init').init, 'image');
    assert.equal(testbed('--network=private', '--init=none').init, undefined);
    assert.equal(testbed('--network=none').init, undefined);
  });

  it('publish ports of a private network', () => {
    const ports = ['8080', '127.0.0.1:53:53/udp'];
    const argv = ports.map((port) => `--publish=${port}`);
    assert.deepEqual(testbed('--network=private', ...argv).publish, ports);
  });

  for (const [argv, code, word] of [
    [['--frob'], 'UNKNOWN_OPTION', '--frob'],
    [['--relaese=sid'], 'UNKNOWN_OPTION', 'did you mean --release'],
    [['-x'], 'UNKNOWN_OPTION', '-x'],
    [['-dx'], 'UNKNOWN_OPTION', '-x'],
    [['--host'], 'MISSING_VALUE', '--hostname'],
    [['--b', 'x'], 'AMBIGUOUS_OPTION', '--bootstrapcmd, --bind, --bind-ro'],
    [['--'], 'UNEXPECTED_WORD', '--'],
    [['-'], 'UNEXPECTED_WORD', '-'],
    [['-t', 'a', 'word'], 'UNEXPECTED_WORD', 'word'],
    [['-t'], 'MISSING_VALUE', '--tarball FILE'],
    [['-t', '-d'], 'MISSING_VALUE', '--tarball FILE'],
    [['--tarball', '--debug'], 'MISSING_VALUE', '--tarball FILE'],
    [['-t', ''], 'WRONG_VALUE', '--tarball'],
    [['--tarball='], 'WRONG_VALUE', '--tarball'],
    [['--bind', '/a'], 'MISSING_VALUE', 'OUTSIDE INSIDE'],
    [['--bind', '/a', '-d'], 'MISSING_VALUE', 'OUTSIDE INSIDE'],
    [['--bind=/a', '/b'], 'WRONG_OPTION', 'OUTSIDE INSIDE'],
    [['-b', '/a', 'b'], 'WRONG_VALUE', 'absolute'],
    [['-b', '', '/b'], 'WRONG_VALUE', 'OUTSIDE'],
    [['--debug=yes'], 'WRONG_OPTION', '--debug'],
    [['--tarball=a', '--rootfs=b'], 'WRONG_OPTION', '--rootfs'],
    [['--scratch=tmpfs', '-p', 'x'], 'WRONG_OPTION', '--prefix'],
    [['-p', '8080:80'], 'WRONG_VALUE', 'expected; write --network=private --publish=8080:80'],
    [['-p', '127.0.0.1:53:53/udp'], 'WRONG_VALUE', '--publish=127.0.0.1:53:53/udp'],
    [['--scratch=tmpfs', '-u', 'x'], 'WRONG_OPTION', '--unpack-dir'],
    [['--scratch=tmpfs:much'], 'WRONG_VALUE', 'tmpfs:2g'],
    [['--scratch=tmpfs:1,mode=777'], 'WRONG_VALUE', 'tmpfs:2g'],
    [['--mode=fast'], 'WRONG_VALUE', 'overlay or copy'],
    [['--network=mine'], 'WRONG_VALUE', 'give host, none or private'],
    [['--network=privat'], 'WRONG_VALUE', 'privat (did you mean private); give host'],
    [['--publish=80'], 'WRONG_OPTION', '--network=private'],
    [
      ['--hostname=a_b'],
      'WRONG_VALUE',
      '--hostname cannot be a_b; write it like testbed-1, with small letters',
    ],
    [['--hostname=-a'], 'WRONG_VALUE', '--hostname'],
    [[`--hostname=${'a'.repeat(64)}`], 'WRONG_VALUE', '--hostname'],
    [['--release=../x'], 'WRONG_VALUE', '--release'],
    [['--arch=x y'], 'WRONG_VALUE', '--arch'],
    [['--arch=x86_64'], 'WRONG_VALUE', 'did you mean amd64'],
    [['--drain-timeout=soon'], 'WRONG_VALUE', 'seconds'],
    [['--drain-timeout=0'], 'WRONG_VALUE', 'seconds'],
    [['--max-copy=0'], 'WRONG_VALUE', '--max-copy'],
    [['--max-processes=0'], 'WRONG_VALUE', '--max-processes'],
    [['--max-processes=5k'], 'WRONG_VALUE', '--max-processes'],
    [['--max-memory=0'], 'WRONG_VALUE', '--max-memory'],
    [['--max-copy=1X'], 'WRONG_VALUE', '--max-copy'],
    [['--report-leaks=xml'], 'WRONG_VALUE', 'text or json'],
    [['--remember-packages', '--mode', 'copy'], 'WRONG_OPTION', 'give one of them'],
  ] as const) {
    it(`are not ${argv.join(' ').slice(0, 60)}`, () => {
      assert.throws(
        () => testbed(...argv),
        (error: Error) => {
          assert.ok(error instanceof UsageError, String(error));
          assert.ok(error.message.includes(word), error.message);
          assert.equal(error.code, code);
          assert.ok(error.remedy);
          assert.doesNotMatch(error.message, /\n/);
          return true;
        },
      );
    });
  }

  it('have a name that is no number, which would be a pid for exec', () => {
    const named = (name: string) => testbedFromWords(parseWords('run', [`--name=${name}`]), {}).name;
    assert.equal(named('web.1'), 'web.1');
    assert.throws(() => named('123'), {
      message: '--name cannot be 123: exec, close and others take a number for a pid; add a letter',
    });
    for (const wrong of ['a_b', '-a', 'a'.repeat(64)]) {
      assert.throws(() => named(wrong), {
        message: `--name cannot be ${wrong}; give 1 to 63 letters, digits, dots and hyphens, such as web`,
      });
    }
  });

  it('reject a copy time-out that is none', () => {
    const env = { AUTOPKGTEST_VIRT_COPY_TIMEOUT: 'x' };
    assert.throws(() => testbedFromWords(parseWords('server', []), env), UsageError);
  });
});
