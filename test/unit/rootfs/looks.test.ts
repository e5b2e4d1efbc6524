import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UsageError } from '../../../src/errors.ts';
import { chooseDecompressor, compressionOf } from '../../../src/rootfs/compression.ts';
import { chooseRoot } from '../../../src/rootfs/source.ts';
import { findInTree, whyNoRoot } from '../../../src/rootfs/tree.ts';
import { readComplaints, tarArgv } from '../../../src/rootfs/unpack.ts';

describe('looks at files', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vtu-looks-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** A tree with a program at /bin/sh, and the path of a tarball of it. */
  function makeTree(): { tree: string; tarball: string } {
    const tree = join(folder, 'tree');
    mkdirSync(join(tree, 'bin'), { recursive: true });
    writeFileSync(join(tree, 'bin/sh'), '#!/nothing\n', { mode: 0o755 });
    const tarball = join(folder, 'tree.tar');
    execFileSync('tar', ['-cf', tarball, '-C', tree, '.']);
    return { tree, tarball };
  }

  describe('what a tarball is', () => {
    for (const [what, bytes, compression] of [
      ['gzip', [0x1f, 0x8b, 8], 'gzip'],
      ['bzip2', [0x42, 0x5a, 0x68, 0x39], 'bzip2'],
      ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], 'xz'],
      ['zstd', [0x28, 0xb5, 0x2f, 0xfd], 'zstd'],
      ['zstd', [0x50, 0x2a, 0x4d, 0x18], 'zstd'],
      ['a zip', [0x50, 0x4b, 3, 4], undefined],
      ['nothing', [], undefined],
      ['zeros', new Array(512).fill(0), undefined],
    ] as const) {
      it(`is recognised by its first bytes: ${what}`, () =>
        assert.equal(compressionOf(Buffer.from(bytes)), compression));
    }

    it('is a plain one when the sum of a header is right, in every format', () => {
      writeFileSync(join(folder, 'f'), '');
      for (const format of ['gnu', 'pax', 'ustar', 'v7']) {
        const tar = execFileSync('tar', ['-c', `--format=${format}`, '-C', folder, 'f']);
        assert.equal(compressionOf(tar.subarray(0, 512)), 'none', format);
        tar[0] = 0x7f;
        assert.equal(compressionOf(tar.subarray(0, 512)), undefined, format);
      }
    });

    it('needs a program, a parallel one if there is one', () => {
      const has =
        (...programs: string[]) =>
        (program: string) =>
          programs.includes(program);
      assert.deepEqual(chooseDecompressor('none', has()), { found: true, command: undefined });
      assert.deepEqual(chooseDecompressor('gzip', has('gzip', 'pigz')), { found: true, command: 'pigz' });
      assert.deepEqual(chooseDecompressor('gzip', has('gzip')), { found: true, command: 'gzip' });
      assert.deepEqual(chooseDecompressor('bzip2', has('bzip2', 'pbzip2')), {
        found: true,
        command: 'pbzip2',
      });
      assert.deepEqual(chooseDecompressor('xz', has()), { found: false, program: 'xz', package: 'xz-utils' });
    });
  });

  describe('looking into a tree', () => {
    it('follows links inside it only', () => {
      const { tree } = makeTree();
      mkdirSync(join(tree, 'usr'));
      symlinkSync('/bin', join(tree, 'usr/bin'));
      symlinkSync('../../../../bin/sh', join(tree, 'usr/up'));
      symlinkSync('/usr/up', join(tree, 'over'));
      for (const path of ['/bin/sh', '/usr/bin/sh', '/usr/up', '/over', '/../../bin/./sh']) {
        const found = findInTree(tree, path);
        assert(found.kind === 'found' && found.path === join(tree, 'bin/sh'), path);
      }
      // It exists on the host.
      symlinkSync(join(tree, 'bin/sh'), join(tree, 'host'));
      assert.equal(findInTree(tree, '/host').kind, 'missing');
      symlinkSync('loop', join(tree, 'loop'));
      assert.equal(findInTree(tree, '/loop').kind, 'missing');
    });

    it('knows a root filesystem by its shell', () => {
      const { tree } = makeTree();
      assert.equal(whyNoRoot(tree), undefined);
      chmodSync(join(tree, 'bin/sh'), 0o644);
      assert.match(whyNoRoot(tree) ?? '', /no program/);
      rmSync(join(tree, 'bin/sh'));
      assert.match(whyNoRoot(tree) ?? '', /no \/bin\/sh/);
    });
  });

  describe('the choice of a root filesystem', () => {
    const env = () => ({ XDG_CACHE_HOME: folder, PATH: process.env.PATH });

    function putImage(path: string, age = 0): string {
      const { tarball } = makeTree();
      const target = join(folder, path);
      mkdirSync(join(target, '..'), { recursive: true });
      execFileSync('cp', [tarball, target]);
      const time = Date.now() / 1000 - age;
      utimesSync(target, time, time);
      return target;
    }

    it('is the tarball or the folder that is given', () => {
      const { tree, tarball } = makeTree();
      assert.deepEqual(chooseRoot({ tarball }, env()), { kind: 'tarball', path: tarball });
      assert.deepEqual(chooseRoot({ rootfs: tree }, env()), { kind: 'directory', path: tree });
    });

    it('refuses what cannot be one, in a sentence that names it', () => {
      const { tree, tarball } = makeTree();
      const text = join(folder, 'text.tar');
      writeFileSync(text, 'no tar');
      rmSync(join(tree, 'bin'), { recursive: true });
      for (const [options, code, words] of [
        [{ tarball: join(folder, 'none') }, 'NO_FILE', /none: ENOENT/],
        [{ tarball: tree }, 'BAD_TARBALL', /give it with rootfs/],
        [{ tarball: '/dev/null' }, 'BAD_TARBALL', /\/dev\/null/],
        [{ tarball: text }, 'BAD_TARBALL', /text\.tar/],
        [{ rootfs: join(folder, 'none') }, 'NO_FILE', /none: ENOENT/],
        [{ rootfs: 'n'.repeat(300) }, 'NO_FILE', /: ENAMETOOLONG/],
        [{ rootfs: tarball }, 'NO_ROOT_FILESYSTEM', /give a tarball with rootfs/],
        [{ rootfs: tree }, 'NO_ROOT_FILESYSTEM', /\/bin\/sh/],
        [{ rootfs: tree, tarball }, 'WRONG_OPTION', /--tarball and --rootfs/],
        [{ release: '../x' }, 'WRONG_VALUE', /\.\.\/x is the name of a file/],
        [{ release: 'x', arch: 'a b' }, 'WRONG_VALUE', /^arch a b is not/],
        [{ release: 'x', arch: 'aarch64' }, 'WRONG_VALUE', /did you mean arm64/],
        [{ release: 'x'.repeat(201) }, 'WRONG_VALUE', /is not the name of a release/],
        [{ release: 'x', bootstrapcmd: 'no-such-strap x' }, 'NO_PROGRAM', /no-such-strap/],
        [{ release: 'x', bootstrapcmd: '' }, 'WRONG_VALUE', /--bootstrapcmd/],
      ] as const) {
        assert.throws(
          () => chooseRoot(options, env()),
          (error) => {
            assert(error instanceof UsageError);
            assert.equal(error.code, code);
            assert.match(error.message, words);
            assert.ok(error.remedy);
            return true;
          },
        );
      }
    });

    it("is sbuild's newest of that release and architecture, however compressed", () => {
      putImage('sbuild/trixie-arm64.tar', 5);
      putImage('sbuild/trixie-riscv64.tar');
      putImage('sbuild/trixie-arm64-extra.tar');
      putImage('sbuild/.trixie-arm64.tar');
      putImage('sbuild/trixie-arm64.tmp');
      const newer = putImage('sbuild/trixie-arm64.tzst', 2);
      putImage('virt-ts-unshare/images/trixie-arm64.tar');
      assert.deepEqual(chooseRoot({ release: 'trixie', arch: 'arm64' }, env()), {
        kind: 'tarball',
        path: newer,
      });
      assert.deepEqual(chooseRoot({ release: 'trixie-backports', arch: 'arm64' }, env()), {
        kind: 'tarball',
        path: newer,
      });
    });

    it('is any of sbuild, without a release, before one has to be built', () => {
      const only = putImage('sbuild/whatever-arm64.tar');
      assert.deepEqual(chooseRoot({ arch: 'arm64' }, env()), { kind: 'tarball', path: only });
    });

    it('is an image of our own, or else an order to build one', () => {
      const options = { release: 'UNRELEASED', arch: 'arm64', bootstrapcmd: 'sh -x', mirror: 'http://m' };
      assert.deepEqual(chooseRoot(options, env()), {
        kind: 'build',
        release: 'unstable',
        arch: 'arm64',
        archGiven: true,
        mirror: 'http://m',
        bootstrapCommand: 'sh -x',
        packages: [],
      });
      const own = putImage('virt-ts-unshare/images/unstable-arm64.tar.zst');
      assert.deepEqual(chooseRoot(options, env()), { kind: 'tarball', path: own });
    });
  });

  describe("tar's words", () => {
    it('are device nodes left out, or errors', () => {
      assert.deepEqual(
        readComplaints(
          [
            'tar: ./var/null: Cannot mknod: Operation not permitted',
            "tar: Removing leading `/' from member names",
            'Total bytes read: 10240 (10KiB, 8.1MiB/s)',
            'tar: x: Warning: Cannot setxattr',
            'tar: ./a: Cannot write: No space left on device',
            'tar: Exiting with failure status due to previous errors',
            '',
          ].join('\n'),
        ),
        { skipped: ['./var/null'], errors: ['tar: ./a: Cannot write: No space left on device'], size: 10240 },
      );
    });

    it('ask for owners only where there is more than one id', () => {
      assert(tarArgv('/r', undefined, false).includes('--same-owner'));
      assert(tarArgv('/r', undefined, true).includes('--no-same-owner'));
      assert(tarArgv('/r', 'zstd -T0', true).includes('--use-compress-program=zstd -T0'));
    });
  });
});
