import assert from 'node:assert/strict';
import { UsageError } from '../../../src/errors.ts';
import { keyringOf, parseIndexes, sourceLines } from '../../../src/rootfs/apt.ts';
import { bootstrapArgv } from '../../../src/rootfs/build.ts';
import { isOfAnother } from '../../../src/rootfs/known-releases.ts';
import type { RootOrder } from '../../../src/rootfs/order.ts';
import { osReleaseValue, resolveRelease } from '../../../src/rootfs/release.ts';
import { splitWords } from '../../../src/rootfs/words.ts';

describe('names of releases', () => {
  for (const [name, release] of [
    ['bookworm', 'bookworm'],
    ['experimental', 'unstable'],
    ['rc-buggy', 'unstable'],
    ['UNRELEASED', 'unstable'],
    ['UNRELEASED-jenkins', 'unstable'],
    ['trixie-backports', 'trixie'],
    ['bookworm-security', 'bookworm'],
    ['bookworm-backports-sloppy', 'bookworm-backports-sloppy'],
  ] as const) {
    it(`${name} is served by ${release}`, () => assert.equal(resolveRelease(name), release));
  }

  it('are read from os-release, quoted or not', () => {
    const text = '# c\nNAME="Debian \\"GNU\\""\nVERSION_CODENAME=bookworm\nID=\'debian\'\nVERSION=\n';
    assert.equal(osReleaseValue(text, 'VERSION_CODENAME'), 'bookworm');
    assert.equal(osReleaseValue(text, 'ID'), 'debian');
    assert.equal(osReleaseValue(text, 'NAME'), 'Debian "GNU"');
    assert.equal(osReleaseValue(text, 'VERSION'), '');
    assert.equal(osReleaseValue(text, 'CODENAME'), undefined);
  });
});

describe('splitting a command into words', () => {
  for (const [text, words] of [
    ['mmdebstrap --variant=apt', ['mmdebstrap', '--variant=apt']],
    ['  a\t b\n', ['a', 'b']],
    [`a --hook='x "$1" y' b`, ['a', '--hook=x "$1" y', 'b']],
    [`"a b"c 'd'"e"`, ['a bc', 'de']],
    [`"a\\"b\\n" c\\ d`, ['a"b\\n', 'c d']],
    [`'' ""`, ['', '']],
    // A shell in the command, not this program, sees the escaped dollar sign.
    ['"echo \\$1 \\`x\\`"', ['echo \\$1 \\`x\\`']],
    ['', []],
  ] as const) {
    it(JSON.stringify(text), () => assert.deepEqual(splitWords(text), words));
  }

  it('refuses an open quote', () => {
    assert.throws(() => splitWords(`a 'b`), UsageError);
    assert.throws(() => splitWords(`a "b\\"`), UsageError);
  });
});

describe("the machine's own mirrors", () => {
  const machine = parseIndexes(
    [
      'Debian\tDebian\thttp://mirror.example/debian\tbookworm\tbookworm',
      'Debian\tDebian\thttp://mirror.example/debian\tbookworm-updates\tbookworm-updates',
      'Debian\tDebian-Security\thttp://mirror.example/security\tstable-security\tbookworm-security',
      'Debian Backports\tDebian Backports\thttp://mirror.example/debian\tbookworm-backports\tbookworm-backports',
      '. shop\t. shop\thttps://shop.example/apt\tnodistro\tnodistro',
      '$(ORIGIN)\t$(LABEL)\thttps://unknown.example\tx\t$(CODENAME)',
      '',
    ].join('\n'),
  );

  it('give the release that the machine has, and nothing of third parties', () => {
    assert.deepEqual(sourceLines(machine, 'bookworm', 'Debian', undefined), [
      'deb http://mirror.example/debian bookworm main',
      'deb http://mirror.example/debian bookworm-updates main',
      'deb http://mirror.example/security bookworm-security main',
      'deb-src http://mirror.example/debian bookworm main',
      'deb-src http://mirror.example/debian bookworm-updates main',
      'deb-src http://mirror.example/security bookworm-security main',
    ]);
  });

  it('give another release with its usual suites', () => {
    assert.deepEqual(sourceLines(machine, 'trixie', 'Debian', '/k.gpg').slice(0, 3), [
      'deb [signed-by=/k.gpg] http://mirror.example/debian trixie main',
      'deb [signed-by=/k.gpg] http://mirror.example/debian trixie-updates main',
      'deb [signed-by=/k.gpg] http://mirror.example/security trixie-security main',
    ]);
  });

  it('give unstable alone', () => {
    assert.deepEqual(sourceLines(machine, 'unstable', 'Debian', undefined), [
      'deb http://mirror.example/debian unstable main',
      'deb-src http://mirror.example/debian unstable main',
    ]);
  });

  it('are signed by the keyring of the distribution, and are not of use for releases of another one', () => {
    assert.equal(keyringOf('debian'), '/usr/share/keyrings/debian-archive-keyring.gpg');
    assert.equal(keyringOf('ubuntu'), '/usr/share/keyrings/ubuntu-archive-keyring.gpg');
    const series = (id: string) =>
      ({ debian: ['trixie', 'sid'], ubuntu: ['noble'], other: ['sid'] })[id] ?? [];
    for (const [release, id, expected] of [
      ['trixie', 'debian', false],
      ['noble', 'debian', true],
      ['trixie', 'ubuntu', true],
      ['noble', 'ubuntu', false],
      ['newest', 'ubuntu', false],
      ['sid', 'other', false],
      ['trixie', 'raspbian', true],
    ] as const) {
      const machine = { id, release: 'bookworm' };
      assert.equal(isOfAnother(release, machine, series), expected, `${release} on ${id}`);
    }
    assert.equal(isOfAnother('trixie', { id: 'raspbian', release: 'trixie' }, series), false);
    assert.equal(isOfAnother('trixie', { id: 'ubuntu', release: undefined }), true);
    assert.equal(isOfAnother('trixie', { id: 'debian', release: undefined }), false);
  });

  it('are none when the distribution is not among them', () => {
    assert.deepEqual(sourceLines(machine, 'bookworm', 'Ubuntu', undefined), []);
    assert.deepEqual(sourceLines([], 'bookworm', 'Debian', undefined), []);
  });
});

describe('the command that builds a root filesystem', () => {
  const order: RootOrder = {
    kind: 'build',
    release: 'trixie',
    arch: 'arm64',
    archGiven: true,
    mirror: undefined,
    bootstrapCommand: undefined,
    packages: ['passwd'],
  };

  it('is mmdebstrap with the lines given, in the mode that fits the caller', () => {
    const argv = bootstrapArgv(order, '/t.tar', ['deb https://a b main'], false);
    assert.equal(argv[0], 'mmdebstrap');
    assert(argv.includes('--mode=unshare'));
    assert.deepEqual(
      argv.filter((word) => word.startsWith('--include=')),
      ['--include=passwd', '--include=ca-certificates'],
    );
    assert.deepEqual(argv.slice(-4), ['--arch=arm64', 'trixie', '/t.tar', 'deb https://a b main']);
    assert(bootstrapArgv(order, '/t.tar', [], true).includes('--mode=root'));
  });

  it('adds sources for tests by itself when there are no lines that have them', () => {
    const withHook = (lines: string[]) =>
      bootstrapArgv(order, '/t.tar', lines, true).some((word) => /^--customize-hook=.*src\.list/.test(word));
    assert.equal(withHook([]), true);
    assert.equal(withHook(['deb http://a b main']), false);
  });

  it("appends architecture, release, target and mirror to the user's own command", () => {
    const own = { ...order, bootstrapCommand: `my-strap --hook='a b'`, mirror: 'http://m.example' };
    assert.deepEqual(bootstrapArgv(own, '/t.tar', ['unused'], true), [
      'my-strap',
      '--hook=a b',
      '--arch=arm64',
      'trixie',
      '/t.tar',
      'http://m.example',
    ]);
  });

  it("gets the architecture only if the user has named one, when it is the user's own", () => {
    const own = { ...order, archGiven: false, bootstrapCommand: 'my-strap' };
    assert.deepEqual(bootstrapArgv(own, '/t.tar', [], true), ['my-strap', 'trixie', '/t.tar']);
    assert(bootstrapArgv({ ...order, archGiven: false }, '/t.tar', [], true).includes('--arch=arm64'));
  });

  it('refuses an empty one', () => {
    assert.throws(() => bootstrapArgv({ ...order, bootstrapCommand: ' ' }, '/t', [], true), UsageError);
  });
});
