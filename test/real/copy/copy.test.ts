/** Files and trees both ways through a real testbed. What the host's side alone can show is in test/unit/copy. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findProgram } from '../../../src/processes/find.ts';
import type { Provider } from '../../../src/testbed/provider.ts';
import type { OpenTestbed } from '../../../src/testbed/types.ts';
import { processTree } from '../../support/processes.ts';
import { itWithUsers, skip } from '../../support/skip.ts';
import { script, testProvider } from '../../support/testbed.ts';
import { describeTree, diskUse, under } from '../../unit/copy/trees.ts';

const NAMES = ['a b', 'new\nline\n', "it's", '"', '-n', '--help', '%s\\0101', '$(id)', '*', 'größe']
  .map((name) => Buffer.from(name))
  .concat(Buffer.from('caf\xe9\xff\n', 'latin1'), Buffer.alloc(255, 'n'));

describe('copying through a testbed', function () {
  this.timeout(60_000);
  let provider: Provider;
  let testbed: OpenTestbed;
  let folder: string;
  let scratch: string;
  before(async () => {
    provider = testProvider({ maxCopyBytes: 50e6 });
    testbed = await provider.open();
  });
  after(() => provider.dispose());
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    await testbed.revert();
    scratch = testbed.scratchDirectory;
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const path = (name: string): string => join(folder, name);
  const down = (from: string, to: string): Promise<void> =>
    testbed.copyIn(Buffer.from(`${folder}/${from}`), Buffer.from(to));
  const up = (from: string, to: string): Promise<void> =>
    testbed.copyOut(Buffer.from(from), Buffer.from(`${folder}/${to}`));
  const run = async (text: string): Promise<string> => {
    const { status, stdout, stderr } = await script(testbed, `set -e; cd ${scratch}; ${text}`);
    assert.equal(status, 0, stderr);
    return stdout;
  };
  /** With a code, or in words that match. */
  const fails = (copy: Promise<void>, expected: string | RegExp): Promise<void> =>
    assert.rejects(copy, (error) => {
      assert.ok(error instanceof Error && error.name === 'CopyError' && 'code' in error, String(error));
      if (typeof expected === 'string') assert.equal(error.code, expected, error.message);
      else assert.match(error.message, expected);
      return true;
    });
  const contentOf = (directory: string): string[] => describeTree(Buffer.from(directory));

  it('brings files of any name down and up again', async () => {
    mkdirSync(path('back'));
    for (const name of NAMES) {
      const from = under(Buffer.from(folder), name);
      const there = under(Buffer.from(scratch), name);
      writeFileSync(from, name);
      await testbed.copyIn(from, there);
      const to = under(Buffer.from(path('back')), name);
      await testbed.copyOut(there, to);
      assert.deepEqual(readFileSync(to), name);
    }
    assert.equal(await run('set -- *; echo $#'), `${NAMES.length}\n`);
  });

  itWithUsers(
    'keeps the executable bit of a file, and gives it to root inside and to the caller outside',
    async () => {
      writeFileSync(path('run'), '#!/bin/sh\necho ran\n', { mode: 0o700 });
      writeFileSync(path('plain'), '', { mode: 0o600 });
      await down('run', `${scratch}/run`);
      await down('plain', `${scratch}/plain`);
      assert.equal(
        await run('./run; stat -c "%U:%G %s" run plain; ! [ -x plain ]'),
        'ran\nroot:root 19\nroot:root 0\n',
      );
      await run('chown 1000:1000 run; chmod 4755 run');
      await up(`${scratch}/run`, 'back');
      await up(`${scratch}/plain`, 'back-plain');
      const { mode, uid, gid } = statSync(path('back'));
      assert.equal(mode & 0o111, 0o111 & ~process.umask());
      assert.equal(mode & 0o7000, 0);
      assert.deepEqual([uid, gid], [process.geteuid?.(), process.getegid?.()]);
      assert.equal(statSync(path('back-plain')).mode & 0o111, 0);
    },
  );

  it('creates a directory, merges into one, and follows a link that stands for it', async () => {
    mkdirSync(path('from'));
    mkdirSync(path('from/sub'), { mode: 0o750 });
    writeFileSync(path('from/sub/new'), 'new');
    await run('mkdir -p merged/sub; echo old >merged/sub/old; mkdir real; ln -s real link');
    for (const name of ['made', 'merged', 'link']) await down('from/', `${scratch}/${name}/`);
    assert.equal(
      await run('find made real merged ! -type d | sort; stat -c %a merged/sub; [ -L link ]'),
      'made/sub/new\nmerged/sub/new\nmerged/sub/old\nreal/sub/new\n750\n',
    );
    mkdirSync(path('merged'));
    writeFileSync(path('merged/mine'), 'mine');
    mkdirSync(path('real'));
    symlinkSync('real', path('link'));
    for (const name of ['made', 'merged', 'link']) await up(`${scratch}/made/`, `${name}/`);
    assert.deepEqual(contentOf(path('made')), contentOf(path('from')));
    assert.deepEqual(contentOf(path('real')), contentOf(path('from')));
    assert.equal(readFileSync(path('merged/mine'), 'utf8'), 'mine');
    assert.ok(lstatSync(path('link')).isSymbolicLink());
    await up(`${scratch}/link/`, 'by-a-link/');
    assert.deepEqual(contentOf(path('by-a-link')), contentOf(path('from')));
  });

  it('reports what cannot be copied and why', async () => {
    mkdirSync(path('from'));
    writeFileSync(path('file'), '');
    await run('mkdir d; touch f');
    await fails(down('none', `${scratch}/x`), /none.*ENOENT/);
    await fails(down('from', `${scratch}/x`), 'IS_A_DIRECTORY');
    await fails(down('file/', `${scratch}/x/`), /ENOTDIR/);
    await fails(down('from/', `${scratch}/no/such/`), /No such file/);
    await fails(down('from/', `${scratch}/f/`), /exists|can't cd/);
    await fails(down('file', `${scratch}/d`), /failed: a directory has this name there; name the file/);
    await fails(up(`${scratch}/none`, 'x'), /none.*No such file/);
    await fails(up(`${scratch}/none/`, 'x/'), /none.*can't cd/);
    await fails(up(`${scratch}/d`, 'x'), 'IS_A_DIRECTORY');
    await fails(up(`${scratch}/f/`, 'x/'), /can't cd/);
    await fails(up(`${scratch}/d/`, 'no/such/'), /ENOENT/);
    assert.deepEqual(readdirSync(folder).sort(), ['file', 'from']);
  });

  it('keeps modes, times, links, holes and long paths of a tree', async () => {
    let deep = path('from');
    for (let i = 0; i < 12; i += 1) {
      mkdirSync(deep);
      deep = join(deep, `${'d'.repeat(60)}${i}`);
    }
    writeFileSync(deep, 'deep', { mode: 0o444 });
    for (const name of NAMES) writeFileSync(under(Buffer.from(path('from')), name), name);
    linkSync(path('from/a b'), path('from/again'));
    symlinkSync('/nowhere', path('from/absolute'));
    symlinkSync('l'.repeat(300), path('from/long'));
    writeFileSync(path('from/sparse'), 'at its beginning');
    truncateSync(path('from/sparse'), 20e6);
    writeFileSync(path('from/empty'), '');
    chmodSync(path('from'), 0o1751);
    execFileSync('touch', ['-h', '-d', '@1234567890.123456789', path('from/long'), path('from/empty')]);
    await down('from/', `${scratch}/tree/`);
    assert.equal(await run('find tree ! -user root -o ! -group root; stat -c %h tree/again'), '2\n');
    assert.ok(Number(await run('du -s -k tree/sparse | cut -f 1')) < 1000);
    await up(`${scratch}/tree/`, 'back/');
    assert.deepEqual(contentOf(path('back')), contentOf(path('from')));
    assert.ok(diskUse(Buffer.from(path('back/sparse'))) < 1e6);
  });

  it('shows processes in the testbed neither a file of the host nor the process that copies', async () => {
    writeFileSync(path('from'), Buffer.alloc(2e6));
    const reader = 'exec <fifo; until [ -e go ]; do sleep 0.02; done; exec cat >got';
    await run(`mkfifo fifo; (${reader}) </dev/null >/dev/null 2>&1 &`);
    const copied = down('from', `${scratch}/fifo`);
    while (!processTree(process.pid).some(({ command }) => /\/helper-\w+ copy /.test(command)))
      await delay(5);
    const seen = await run(
      '{ readlink /proc/[0-9]*/fd/* /proc/[0-9]*/exe || :; cat /proc/[0-9]*/cmdline || :; } 2>/dev/null | tr "\\0" "\\n"',
    );
    assert.match(seen, /copy-in-file/);
    for (const hidden of [folder, 'helper-']) assert.ok(!seen.includes(hidden), seen);
    await run(': >go');
    await copied;
    assert.equal(
      await run('until [ "$(stat -c %s got)" = 2000000 ]; do sleep 0.02; done; echo whole'),
      'whole\n',
    );
  });

  for (const kind of ['tmpfs', 'directory'] as const) {
    it(`brings a long file down and up as it is, the scratch being a ${kind}`, async () => {
      const content = randomFillSync(Buffer.alloc(43_003_961));
      writeFileSync(path('long'), content);
      mkdirSync(path('scratch'));
      for (const open of [folder, path('scratch')]) chmodSync(open, 0o755);
      const own = testProvider({ scratch: kind === 'tmpfs' ? { kind } : { kind, path: path('scratch') } });
      try {
        const other = await own.open();
        for (let round = 0; round < 2; round += 1) {
          await other.copyIn(Buffer.from(path('long')), Buffer.from('/long'));
          await other.copyOut(Buffer.from('/long'), Buffer.from(path('back')));
          assert.ok(readFileSync(path('back')).equals(content));
        }
      } finally {
        await own.dispose();
      }
    });
  }

  it('leaves a bound file as it is that would be copied onto itself', async () => {
    const bound = mkdtempSync('/dev/shm/virt-ts-unshare-test-');
    chmodSync(bound, 0o755);
    writeFileSync(join(bound, 'file'), 'content');
    chmodSync(join(bound, 'file'), 0o666);
    const own = testProvider({ binds: [{ outside: bound, inside: '/mnt/bound' }] });
    try {
      const other = await own.open();
      const [host, inside] = [Buffer.from(join(bound, 'file')), Buffer.from('/mnt/bound/file')];
      await fails(other.copyIn(host, inside), 'SAME_FILE');
      await fails(other.copyOut(inside, host), 'SAME_FILE');
      assert.equal(readFileSync(host, 'utf8'), 'content');
    } finally {
      await own.dispose();
      rmSync(bound, { recursive: true });
    }
  });

  it('leaves a file of its root filesystem as it is that would be copied onto itself', async () => {
    const root = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    chmodSync(root, 0o755);
    for (const name of ['bin', 'etc']) mkdirSync(join(root, name));
    cpSync(findProgram('busybox') ?? assert.fail('install busybox'), join(root, 'bin/busybox'));
    symlinkSync('busybox', join(root, 'bin/sh'));
    writeFileSync(join(root, 'file'), 'content');
    const own = testProvider({ root: { rootfs: root } });
    try {
      const other = await own.open();
      await fails(other.copyOut(Buffer.from('/file'), Buffer.from(join(root, 'file'))), 'SAME_FILE');
      assert.equal(readFileSync(join(root, 'file'), 'utf8'), 'content');
    } finally {
      await own.dispose();
      rmSync(root, { recursive: true });
    }
  });

  it('brings a long file down to one of the host in memory that may only be written to', async () => {
    const bound = mkdtempSync('/dev/shm/virt-ts-unshare-test-');
    const content = randomFillSync(Buffer.alloc(10e6));
    writeFileSync(path('long'), content);
    chmodSync(bound, 0o755);
    writeFileSync(join(bound, 'file'), '');
    chmodSync(join(bound, 'file'), 0o622);
    const own = testProvider({
      binds: [{ outside: bound, inside: '/mnt/bound' }],
      scratch: { kind: 'tmpfs' },
    });
    try {
      const other = await own.open();
      await other.copyIn(Buffer.from(path('long')), Buffer.from('/mnt/bound/file'));
      assert.ok(readFileSync(join(bound, 'file')).equals(content));
    } finally {
      await own.dispose();
      rmSync(bound, { recursive: true });
    }
  });

  it('refuses more bytes than are allowed, and leaves nothing of them', async () => {
    await run('mkdir d; head -c 60000000 /dev/zero >d/large');
    await fails(up(`${scratch}/d/large`, 'x'), 'TOO_MANY_BYTES');
    await fails(up(`${scratch}/d/`, 'x/'), 'TOO_MANY_BYTES');
    assert.deepEqual(readdirSync(folder), []);
  });

  it('reports that the destination is full', async () => {
    // The testbed's own /run/lock holds 5 MB.
    mkdirSync(path('from'));
    writeFileSync(path('from/large'), Buffer.alloc(7e6, 'x'));
    await fails(down('from/', '/run/lock/from/'), /No space left/);
    await fails(down('from/large', '/run/lock/large'), /No space left/);
    await run('echo x >x');
    await fails(
      testbed.copyOut(Buffer.from(`${scratch}/x`), Buffer.from('/dev/full')),
      /writing on the host failed: No space left/,
    );
  });

  it('reports a full destination of a long file too', async () => {
    const small = testProvider({ scratch: { kind: 'tmpfs', size: '20m' } });
    try {
      const long = Buffer.from(path('long'));
      writeFileSync(long, Buffer.alloc(30e6, 'x'));
      const opened = await small.open();
      await fails(
        opened.copyIn(long, Buffer.from(`${opened.scratchDirectory}/long`)),
        /writing in the testbed failed: No space left on device; free space[^;]*$/,
      );
    } finally {
      await small.dispose();
    }
  });

  it('reports that the destination of a tree on the host is full, and leaves nothing there', async function () {
    if (process.geteuid?.() !== 0) skip(this, 'it takes root to mount');
    mkdirSync(path('small'));
    await run('mkdir d; head -c 30000000 /dev/urandom >d/large; head -c 60000 d/large >d/short');
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=20m', 'small', path('small')]);
    try {
      await fails(up(`${scratch}/d/`, 'small/new/'), /No space left/);
      await fails(
        up(`${scratch}/d/large`, 'small/large'),
        /writing on the host failed: No space left on device; free space[^;]*$/,
      );
      writeFileSync(path('small/filled'), Buffer.alloc(20 * 1024 ** 2 - 40_000));
      await fails(
        up(`${scratch}/d/short`, 'small/short'),
        /writing on the host failed: No space left on device; free space[^;]*$/,
      );
      rmSync(path('small/filled'));
      assert.deepEqual(readdirSync(path('small')), []);
    } finally {
      execFileSync('umount', [path('small')]);
    }
  });

  it('goes with the tar of busybox, and without any for files', async () => {
    const busybox = execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim();
    mkdirSync(path('from'));
    writeFileSync(path('from/run'), 'x', { mode: 0o755 });
    linkSync(path('from/run'), path('from/again'));
    symlinkSync('l'.repeat(150), path('from/link'));
    writeFileSync(under(Buffer.from(path('from')), Buffer.from([0xff, 0x0a])), 'odd');
    execFileSync('sh', ['-c', 'touch -h -d @1000000000 "$1"/* "$1"', 'sh', path('from')]);
    await testbed.copyIn(Buffer.from(busybox), Buffer.from('/usr/local/bin/busybox'));
    await run('rm "$(command -v tar)"; ! command -v tar; ln -s busybox /usr/local/bin/tar');
    await down('from/', `${scratch}/tree/`);
    await up(`${scratch}/tree/`, 'back/');
    // It makes hard links when all else is done, and sets no time of a symbolic one.
    execFileSync('touch', ['-r', path('from'), path('back')]);
    execFileSync('touch', ['-h', '-r', path('from/link'), path('back/link')]);
    assert.deepEqual(contentOf(path('back')), contentOf(path('from')));

    await run('rm /usr/local/bin/tar');
    await down('from/run', `${scratch}/run`);
    await up(`${scratch}/run`, 'run');
    assert.equal(readFileSync(path('run'), 'utf8'), 'x');
    await fails(down('from/', `${scratch}/other/`), 'NO_TAR');
    await fails(up(`${scratch}/tree/`, 'other/'), 'NO_TAR');
    assert.equal(existsSync(path('other')), false);
  });
});

describe('a copy that takes too long', function () {
  this.timeout(60_000);
  let provider: Provider;
  let testbed: OpenTestbed;
  let folder: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    provider = testProvider({ copyTimeout: 1 });
    testbed = await provider.open();
    const stuck = `#!/bin/sh
case "$*" in *"-T /dev/null"*) exit 0 ;; esac
trap '' TERM INT HUP
sleep 1000 & setsid sleep 1000 & wait; wait`;
    writeFileSync(join(folder, 'stuck'), stuck, { mode: 0o755 });
    mkdirSync(join(folder, 'tree'));
    writeFileSync(join(folder, 'tree/file'), Buffer.alloc(1e6));
    await testbed.copyIn(Buffer.from(join(folder, 'stuck')), Buffer.from('/usr/local/bin/tar'));
    await script(testbed, `mkfifo ${testbed.scratchDirectory}/fifo`);
  });
  after(async () => {
    await provider.dispose();
    rmSync(folder, { recursive: true });
  });

  it('is ended at both ends, and the testbed is as good as before', async () => {
    const before = new Set(processTree(process.pid).map(({ pid }) => pid));
    const host = (name: string): Buffer => Buffer.from(`${folder}/${name}`);
    const inside = (name: string): Buffer => Buffer.from(`${testbed.scratchDirectory}/${name}`);
    await assert.rejects(testbed.copyIn(host('tree/'), inside('tree/')), { name: 'CopyTimeoutError' });
    await assert.rejects(testbed.copyOut(Buffer.from('/etc/'), host('new/')), { name: 'CopyTimeoutError' });
    await assert.rejects(testbed.copyIn(host('tree/file'), inside('fifo')), { name: 'CopyTimeoutError' });
    const left = processTree(process.pid).filter(({ pid }) => !before.has(pid));
    assert.deepEqual(left, []);
    assert.deepEqual(readdirSync(folder).sort(), ['stuck', 'tree']);
    assert.equal((await script(testbed, 'echo fine')).stdout, 'fine\n');
  });
});
