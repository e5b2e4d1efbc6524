/** Directories, and what becomes of those that are there already. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { copyIn, copyOut } from '../../../src/copy/copy.ts';
import { lack } from '../../support/skip.ts';
import { fails, OPTIONS, useFolder } from './copying.ts';
import { HostTestbed } from './host-testbed.ts';
import { describeTree } from './trees.ts';

describe('copying', () => {
  const { path, bytes, down, up, withTar } = useFolder();

  for (const [way, copy] of [
    ['down', down],
    ['up', up],
  ] as const) {
    describe(`of directories ${way}`, () => {
      it('merges into one that is there, and takes mode and time of what came', async () => {
        mkdirSync(path('from'));
        mkdirSync(path('from/sub'), { mode: 0o750 });
        writeFileSync(path('from/sub/new'), 'new');
        writeFileSync(path('from/both'), 'from');
        symlinkSync('both', path('from/link'));
        chmodSync(path('from'), 0o711);
        mkdirSync(path('to'));
        mkdirSync(path('to/sub'));
        writeFileSync(path('to/sub/old'), 'old');
        writeFileSync(path('to/both'), 'to');
        writeFileSync(path('to/link'), 'in the way');
        await copy('from/', 'to/');
        assert.equal(readFileSync(path('to/sub/old'), 'utf8'), 'old');
        rmSync(path('to/sub/old'));
        execFileSync('touch', ['-r', path('from/sub'), path('to/sub')]);
        assert.deepEqual(describeTree(bytes('to')), describeTree(bytes('from')));
      });

      it('goes through a link that is the destination, and through none below it', async () => {
        mkdirSync(path('from'));
        mkdirSync(path('from/sub'));
        writeFileSync(path('from/sub/file'), 'x');
        mkdirSync(path('canary'));
        mkdirSync(path('real'));
        symlinkSync('../canary', path('real/sub'));
        symlinkSync('real', path('link'));
        await copy('from/', 'link/');
        assert.deepEqual(readdirSync(path('canary')), []);
        assert.ok(lstatSync(path('real/sub')).isDirectory());
        assert.deepEqual(describeTree(bytes('real')), describeTree(bytes('from')));
      });

      it('reports what it cannot do', async () => {
        writeFileSync(path('file'), 'x');
        mkdirSync(path('from'));
        await fails(copy('none/', 'to/'), /none.*(ENOENT|can't cd|No such)/);
        assert.equal(existsSync(path('to')), false);
        await fails(copy('file/', 'to/'), /ENOTDIR|can't cd|not a directory/i);
        await fails(copy('from/', 'file/'), /ENOTDIR|not a directory|exists/i);
        await fails(copy('from/', 'no/such/place/'), /ENOENT|[Nn]o such/);
        symlinkSync('nowhere', path('dangling'));
        await fails(copy('from/', 'dangling/'), /ENOENT|exists/);
        assert.equal(readFileSync(path('file'), 'utf8'), 'x');
      });

      it('refuses a socket by its name', async () => {
        mkdirSync(path('from'));
        const socket = 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])';
        execFileSync('python3', ['-c', socket, path('from/talk')]);
        await fails(copy('from/', 'to/'), /socket.*talk/);
      });

      it('keeps attributes of the name space user', async function () {
        mkdirSync(path('from'));
        writeFileSync(path('from/file'), 'x');
        const set =
          'import os, sys; os.setxattr(sys.argv[1], "user.one", b"a\\0\\nb"); os.setxattr(sys.argv[2], "user.two", b"d")';
        try {
          execFileSync('python3', ['-c', set, path('from/file'), path('from')], { stdio: 'pipe' });
        } catch {
          lack(this, 'the file system for temporary files has none');
        }
        await copy('from/', 'to/');
        const get =
          'import os, sys; print(os.getxattr(sys.argv[1], "user.one"), os.getxattr(sys.argv[2], "user.two"))';
        assert.equal(
          execFileSync('python3', ['-c', get, path('to/file'), path('to')], { encoding: 'utf8' }),
          "b'a\\x00\\nb' b'd'\n",
        );
      });

      it('keeps times before 1970', async () => {
        mkdirSync(path('from'));
        writeFileSync(path('from/old'), '');
        execFileSync('touch', ['-d', '@-1.5', path('from/old')]);
        await copy('from/', 'to/');
        assert.equal(lstatSync(path('to/old'), { bigint: true }).mtimeNs, -1_500_000_000n);
      });
    });
  }

  it('never replaces a directory with something in it', async () => {
    mkdirSync(path('from'));
    writeFileSync(path('from/name'), 'x');
    mkdirSync(path('to'));
    mkdirSync(path('to/name'));
    writeFileSync(path('to/name/mine'), 'mine');
    await fails(up('from/', 'to/'), /ENOTEMPTY|not empty/i);
    assert.deepEqual(readdirSync(path('to')), ['name']);
    rmSync(path('to/name/mine'));
    await up('from/', 'to/');
    assert.equal(readFileSync(path('to/name'), 'utf8'), 'x');
  });

  it('stays where it was when the destination is exchanged meanwhile', async () => {
    mkdirSync(path('canary'));
    mkdirSync(path('to'));
    mkdirSync(path('to/sub'));
    mkdirSync(path('from'));
    mkdirSync(path('from/sub'));
    for (let i = 0; i < 50; i += 1) writeFileSync(path(`from/sub/${i}`), 'x');
    // While the archive is on its way, the directory it will be merged into becomes a link to the canary.
    const testbed = withTar(`mv '${path('to/sub')}' '${path('to/away')}'; ln -s ../canary '${path('to/sub')}'
mv '${path('to')}' '${path('moved')}'; ln -s canary '${path('to')}'
PATH=/usr/bin:/bin exec tar "$@"`);
    await copyOut(testbed, bytes('from/'), bytes('to/'), OPTIONS);
    assert.deepEqual(readdirSync(path('canary')), []);
    assert.deepEqual(readdirSync(path('moved')), ['away', 'sub']);
    assert.equal(readdirSync(path('moved/sub')).length, 50);
  });

  describe('with other tars', () => {
    const withTools = (...tools: string[]): HostTestbed => {
      mkdirSync(path('bin'));
      for (const tool of ['chmod', 'mkdir']) symlinkSync(`/bin/${tool}`, path(`bin/${tool}`));
      const busybox = execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim();
      for (const tool of tools) symlinkSync(busybox, path(`bin/${tool}`));
      return new HostTestbed({ path: path('bin') });
    };
    const plainTree = (): void => {
      mkdirSync(path('from'));
      mkdirSync(path('from/sub'), { mode: 0o750 });
      writeFileSync(path('from/sub/run'), 'x', { mode: 0o755 });
      linkSync(path('from/sub/run'), path('from/again'));
      symlinkSync('l'.repeat(120), path('from/link'));
      writeFileSync(
        Buffer.concat([bytes('from/'), Buffer.from([0xff, 0x0a]), Buffer.alloc(150, 'n')]),
        'odd',
      );
      execFileSync('find', [path('from'), '-exec', 'touch', '-h', '-d', '@1000000000', '{}', '+']);
    };

    it('goes with busybox, both ways, but for fractions of a second and times where links are', async () => {
      const testbed = withTools('tar');
      plainTree();
      await copyIn(testbed, bytes('from/'), bytes('inside/'), OPTIONS);
      // It makes hard links when all else is done, and sets no time of a symbolic one.
      for (const name of ['link', 'sub', '.'])
        execFileSync('touch', ['-h', '-r', path('from/link'), path(`inside/${name}`)]);
      assert.deepEqual(describeTree(bytes('inside')), describeTree(bytes('from')));
      await copyOut(testbed, bytes('inside/'), bytes('back/'), OPTIONS);
      assert.deepEqual(describeTree(bytes('back')), describeTree(bytes('from')));
    });

    it('copies files without a tar and reports what directories need', async () => {
      const testbed = withTools();
      plainTree();
      await copyIn(testbed, bytes('from/sub/run'), bytes('inside'), OPTIONS);
      await copyOut(testbed, bytes('inside'), bytes('back'), OPTIONS);
      assert.ok((statSync(path('back')).mode & 0o111) !== 0);
      await fails(copyIn(testbed, bytes('from/'), bytes('in/'), OPTIONS), 'NO_TAR');
      await fails(copyOut(testbed, bytes('from/'), bytes('out/'), OPTIONS), 'NO_TAR');
      assert.equal(existsSync(path('out')), false);
    });
  });
});
