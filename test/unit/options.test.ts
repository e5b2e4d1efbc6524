import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { UsageError } from '../../src/errors.ts';
import { usage } from '../../src/option-words.ts';
import { parseOptions } from '../../src/options.ts';

function testbed(...argv: string[]) {
  const parsed = parseOptions(argv);
  assert.equal(parsed.action, 'serve');
  return parsed.action === 'serve' ? parsed.testbed : assert.fail();
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
    const short = parseOptions([
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
    ]);
    const long = parseOptions(
      'tarball=x.tar release=sid arch=arm64 bind in /out mirror=M debug unpack-dir=U'
        .split(' ')
        .map((word) => (/^(in|\/out)$/.test(word) ? word : `--${word}`)),
    );
    assert.deepEqual(short, long);
    assert.deepEqual(JSON.parse(JSON.stringify(short)), {
      action: 'serve',
      debug: true,
      testbed: {
        root: { tarball: 'x.tar', release: 'sid', arch: 'arm64', mirror: 'M' },
        binds: [{ outside: resolve('in'), inside: '/out' }],
        scratch: { kind: 'directory', path: resolve('U'), create: true },
        mode: 'overlay',
        network: 'host',
        publish: [],
        drainTimeout: 10,
        copyTimeout: 300,
      },
    });
    assert.equal(
      testbed('--bootstrapcmd', 'mmdebstrap --variant=apt').root.bootstrapcmd,
      'mmdebstrap --variant=apt',
    );
    assert.deepEqual(testbed('-r', '*', '-a*').root, testbed().root);
    assert.deepEqual(testbed('-m', '', '--prefix=', '-u', ''), testbed());
  });

  it('may follow their letter at once, be cut short, and be given again', () => {
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
    assert.equal(testbed('--max', '1k').maxCopyBytes, 1024);
    const both = parseOptions(['-drsid']);
    assert.ok(both.action === 'serve' && both.debug && both.testbed.root.release === 'sid');
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
    assert.equal(testbed('--drain-timeout=0.5').drainTimeout, 0.5);
    const parsed = parseOptions([], { AUTOPKGTEST_VIRT_COPY_TIMEOUT: '7' });
    assert.ok(parsed.action === 'serve' && parsed.testbed.copyTimeout === 7);
  });

  it('report leaks as text unless told otherwise', () => {
    assert.equal(testbed('--report-leaks').reportLeaks, 'text');
    assert.equal(testbed('--report-leaks=json').reportLeaks, 'json');
    const { reportLeaks, leakFile } = testbed('--report-leaks=text:/a:b');
    assert.deepEqual([reportLeaks, leakFile], ['text', '/a:b']);
  });

  it('publish ports of a private network', () => {
    const ports = ['8080', '127.0.0.1:53:53/udp'];
    const argv = ports.map((port) => `--publish=${port}`);
    assert.deepEqual(testbed('--network=private', ...argv).publish, ports);
  });

  for (const [argv, sentence] of [
    [['--frob'], /--frob/],
    [['-x'], /-x/],
    [['-dx'], /-x/],
    [['--b', 'x'], /--bind, --bind-ro, --bootstrapcmd/],
    [['--'], /--/],
    [['-'], /-/],
    [['-t', 'a', 'word'], /word/],
    [['-t'], /--tarball FILE/],
    [['-t', '-d'], /--tarball FILE/],
    [['-t', ''], /--tarball/],
    [['--tarball='], /--tarball/],
    [['--bind', '/a'], /OUTSIDE INSIDE/],
    [['--bind=/a', '/b'], /OUTSIDE INSIDE/],
    [['-b', '/a', 'b'], /absolute/],
    [['-b', '', '/b'], /OUTSIDE/],
    [['--debug=yes'], /--debug/],
    [['--tarball=a', '--rootfs=b'], /one of them/],
    [['--scratch=tmpfs', '-p', 'x'], /one of them/],
    [['--scratch=tmpfs', '-u', 'x'], /one of them/],
    [['--scratch=tmpfs:much'], /tmpfs:2g/],
    [['--scratch=tmpfs:1,mode=777'], /tmpfs:2g/],
    [['--mode=fast'], /overlay, copy/],
    [['--network=mine'], /host, none, private/],
    [['--publish=80'], /--network=private/],
    [['--hostname=a_b'], /--hostname/],
    [['--hostname=-a'], /--hostname/],
    [[`--hostname=${'a'.repeat(64)}`], /--hostname/],
    [['--release=../x'], /--release/],
    [['--arch=x y'], /--arch/],
    [['--drain-timeout=soon'], /seconds/],
    [['--drain-timeout=0'], /seconds/],
    [['--max-copy=0'], /--max-copy/],
    [['--max-copy=1X'], /--max-copy/],
    [['--report-leaks=xml'], /text, json/],
  ] as const) {
    it(`are not ${argv.join(' ').slice(0, 60)}`, () => {
      assert.throws(
        () => parseOptions(argv),
        (error: Error) => {
          assert.ok(error instanceof UsageError, String(error));
          assert.match(error.message, sentence);
          assert.doesNotMatch(error.message, /\n/);
          return true;
        },
      );
    });
  }

  it('reject a copy time-out that is none', () => {
    assert.throws(() => parseOptions([], { AUTOPKGTEST_VIRT_COPY_TIMEOUT: 'x' }), UsageError);
  });

  it('ask for help and version whatever else is given', () => {
    assert.deepEqual(parseOptions(['-t', 'a', '-h']), { action: 'help' });
    assert.deepEqual(parseOptions(['--version']), { action: 'version' });
  });

  it('are all in the usage text', () => {
    const text = usage({ run: { usage: 'COMMAND', summary: 'run a command' } });
    for (const word of '-t -r -a -b -p -u -m -d --bootstrapcmd --rootfs --report-leaks[=text|json] --version'.split(
      ' ',
    )) {
      assert.ok(text.includes(` ${word}`), word);
    }
    assert.match(text, / run COMMAND\n +run a command\n/);
    assert.ok(text.split('\n').every((line) => line.length <= 110));
  });
});
