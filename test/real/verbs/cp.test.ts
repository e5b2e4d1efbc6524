/** cp between the host and a testbed that another process has open. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shellLine } from '../../../src/log.ts';
import type { OpenTestbed } from '../../../src/testbed/types.ts';
import { call, PROGRAM, virt } from '../../support/program.ts';
import { testProvider } from '../../support/testbed.ts';

describe('cp', function () {
  this.timeout(60_000);
  const bed = `copies-${process.pid}`;
  const provider = testProvider({ hostname: bed });
  let _testbed: OpenTestbed;
  let folder: string;
  before(async () => {
    _testbed = await provider.open();
  });
  after(() => provider.dispose());
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-cp-'));
    await inside('rm -rf /srv; mkdir /srv');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const cp = (from: string, to: string, ...more: string[]) =>
    virt(['cp', from, to, ...more], { cwd: folder });
  const copied = async (from: string, to: string) => {
    assert.deepEqual(await cp(from, to), { status: 0, stdout: '', stderr: '' });
  };
  /** Gives what a shell in the testbed prints. */
  async function inside(script: string): Promise<string> {
    const { stdout, stderr } = await virt(['exec', bed, '--', 'sh', '-c', script]);
    assert.equal(stderr, '');
    return stdout;
  }
  const here = (...path: string[]) => join(folder, ...path);

  it('copies on a terminal too, and shows nothing of a copy that takes no time', async () => {
    writeFileSync(here('from'), 'content');
    for (const [from, to] of [
      ['from', `${bed}:/srv/there`],
      [`${bed}:/srv/there`, 'back'],
    ] as const) {
      const line = shellLine([PROGRAM, 'cp', from, to]);
      const shown = await call(['script', '--quiet', '--return', '--command', line, '/dev/null'], {
        cwd: folder,
      });
      assert.deepEqual([shown.status, shown.stdout.replaceAll('\r\x1b[K', '')], [0, '']);
    }
    assert.equal(readFileSync(here('back'), 'utf8'), 'content');
  });

  it('copies a file into a directory or to a new name, in both directions', async () => {
    writeFileSync(here('a file'), 'content\n', { mode: 0o755 });
    await copied('a file', `${bed}:/srv`);
    await copied('./a file', `${bed}:/srv/other`);
    assert.equal(
      await inside('cd /srv; ls; cat other; [ -x other ] && echo executable'),
      'a file\nother\ncontent\nexecutable\n',
    );
    await copied(`${bed}:/srv/other`, '.');
    await copied(`${bed}:srv/other`, 'third');
    assert.deepEqual(readdirSync(folder).sort(), ['a file', 'other', 'third']);
    assert.equal(readFileSync(here('third'), 'utf8'), 'content\n');
  });

  it('copies a directory by its name into one that exists, else to the name that is given', async () => {
    mkdirSync(here('tree/deep'), { recursive: true });
    writeFileSync(here('tree/deep/file'), 'x');
    symlinkSync('deep/file', here('tree/link'));
    await copied('tree', `${bed}:/srv`);
    await copied('tree/', `${bed}:/srv/new`);
    await copied('tree/.', `${bed}:/srv/new/deep`);
    assert.equal(
      await inside('cd /srv; find . | LC_ALL=C sort'),
      [
        '.',
        './new',
        './new/deep',
        './new/deep/deep',
        './new/deep/deep/file',
        './new/deep/file',
        './new/deep/link',
      ]
        .concat(['./new/link', './tree', './tree/deep', './tree/deep/file', './tree/link', ''])
        .join('\n'),
    );
    await copied(`${bed}:/srv/tree`, 'back');
    await copied(`${bed}:/srv/tree`, 'back');
    await copied(`${bed}:/srv/tree/.`, 'back/deep');
    assert.deepEqual(readdirSync(here('back')).sort(), ['deep', 'link', 'tree']);
    assert.deepEqual(readdirSync(here('back/deep')).sort(), ['deep', 'file', 'link']);
    assert.ok(lstatSync(here('back/tree/link')).isSymbolicLink());
  });

  it('writes and reads tar archives, also from one testbed to another place', async () => {
    await inside('mkdir /srv/from; echo one >/srv/from/file; mkdir /srv/to');
    const line = '"$0" "$1" cp "$2:/srv/from" - | tee archive.tar | "$0" "$1" cp - "$2:/srv/to"';
    const pipe = await call(['bash', '-o', 'pipefail', '-c', line, process.execPath, PROGRAM, bed], {
      cwd: folder,
    });
    assert.deepEqual(pipe, { status: 0, stdout: '', stderr: '' });
    assert.equal(await inside('cat /srv/to/file'), 'one\n');
    const { stdout } = await call(['tar', '-tf', here('archive.tar')]);
    assert.equal(stdout, './\nfile\n');
    const head = await call([
      'bash',
      '-c',
      '"$0" "$1" cp "$2:/usr/bin" - | head -c 1 | wc -c',
      process.execPath,
      PROGRAM,
      bed,
    ]);
    assert.deepEqual(head, { status: 0, stdout: '1\n', stderr: '' });
  });

  it('refuses what could harm the host, and then writes nothing', async () => {
    await inside('cd /srv; mkdir tree; ln -s /etc tree/link; echo x >tree/setuid; chmod u+s tree/setuid');
    const tree = await cp(`${bed}:/srv/tree`, 'tree');
    assert.match(tree.stderr, /setuid from the testbed is refused: it has a setuid or setgid bit/);
    assert.equal(tree.status, 255);
    assert.equal(existsSync(here('tree')), false);
    const archive = await cp(`${bed}:/srv/tree`, '-');
    assert.match(archive.stderr, /setuid from the testbed is refused/);
    assert.equal(archive.status, 255);
    // A tar of the testbed that writes what it likes.
    await inside(
      'cp /bin/tar /srv/tar.real; printf "#!/bin/sh\\ncat /srv/evil\\n" >/srv/tar; chmod +x /srv/tar',
    );
    const line = 'mkdir d; echo x >f; tar -cPf evil --transform "s,^f$,../../escaped," d f';
    assert.equal((await call(['sh', '-c', line], { cwd: folder })).status, 0);
    await copied('evil', `${bed}:/srv/evil`);
    await inside('mv /bin/tar /bin/tar.before; mv /srv/tar /bin/tar');
    try {
      const escaped = await cp(`${bed}:/srv/tree`, 'sub');
      assert.match(escaped.stderr, /is refused|has no entries/);
      assert.equal(escaped.status, 255);
      assert.equal(existsSync(here('sub')), false);
    } finally {
      await inside('mv /bin/tar.before /bin/tar');
    }
  });

  it('fails with one sentence', async () => {
    chmodSync(folder, 0o755);
    writeFileSync(here('a:b'), 'x');
    for (const [from, to, sentence, wanted] of [
      [
        'here',
        'there',
        /neither the source nor the destination of cp is in a testbed; write one of them like/,
        2,
      ],
      [
        `${bed}:/a`,
        `${bed}:/b`,
        /cp does not copy from one testbed to another; write it like .* \| virt-ts-unshare cp -/,
        2,
      ],
      ['absent', `${bed}:/srv`, /there is no file absent; give one that exists/, 2],
      [`nowhere-${process.pid}:/a`, '.', /this user has no open testbed nowhere/, 2],
      ['a:b', '/tmp', /this user has no open testbed a; write \.\/a:b for the file of the host/, 2],
      [`${bed}:/absent`, '.', /copying \/absent .*failed: .*No such file/, 255],
      ['a:b', `${bed}:/no/such/`, /no open testbed|is in a testbed|from one testbed/, 2],
      ['./a:b', `${bed}:/no/such`, /failed: its directory does not exist there; make/, 255],
    ] as const) {
      const { stderr, status } = await cp(from, to);
      assert.match(stderr, sentence);
      assert.equal(status, wanted, stderr);
      assert.equal(stderr.trim().split('\n').length, 1, stderr);
    }
    assert.equal((await virt(['cp', 'one'])).status, 2);
    const large = await cp(`${bed}:/usr/bin/perl`, 'perl', '--max-copy', '1k');
    assert.match(large.stderr, /more than 1024 bytes come from the testbed/);
    assert.equal(existsSync(here('perl')), false);
  });

  it('names a path of the host that cannot be a file', async () => {
    writeFileSync(here('file'), '');
    for (const path of ['file/', 'file/below', `./${'n'.repeat(300)}`]) {
      const { stderr, status } = await cp(path, `${bed}:/srv`);
      assert.match(stderr, /^virt-ts-unshare: cannot reach .*: E[A-Z]+: .*; give the path of a file/);
      assert.equal(status, 2);
    }
    const { stderr } = await cp(`${bed}:/etc/hostname`, 'file/');
    assert.match(
      stderr,
      /^virt-ts-unshare: copying \/etc\/hostname .* failed: cannot write to file\/ on the host/,
    );
  });
});
