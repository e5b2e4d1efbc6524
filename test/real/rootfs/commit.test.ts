import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLog } from '../../../src/log.ts';
import { waitLock } from '../../../src/rootfs/lock.ts';
import { processTree } from '../../support/processes.ts';
import { ended, PROGRAM, virt } from '../../support/program.ts';
import { randomFrom } from '../../support/random.ts';
import { testTarball } from '../../support/rootfs.ts';
import { Server } from '../../support/server.ts';

const SEED = Number(process.env.FAULT_SEED ?? Date.now() % 1_000_000);
const ROUNDS = Number(process.env.FAULT_ROUNDS ?? 6);

/** Names, owners, modes, times, links, sizes, used blocks, content and attributes of what the test makes, and of /usr. */
const FINGERPRINT = `cd / && find srv usr etc/alternatives -path usr/share/doc -prune -o \\( -type d -o -printf '%p %n ' \\) -printf '%p %y %U %G %m %T@ %l\\n' | sort | sha256sum
find srv -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum
stat -c '%b' /srv/sparse
[ /srv/one -ef /srv/two ] && echo linked
stat -c '%n %a' srv/acl srv/acl/in
perl -e 'for (["/srv/cap", "security.capability"], ["/srv/one", "user.note"], ["/srv/acl", "system.posix_acl_access"], ["/srv/acl", "system.posix_acl_default"], ["/srv/acl/in", "system.posix_acl_access"]) { my ($f, $n) = @$_; my $v = "\\0" x 64; my $l = syscall(191, $f, $n, $v, 64); print "$n $l ", unpack("H*", substr($v, 0, $l > 0 ? $l : 0)), "\\n" }'`;

/** tar makes its columns wider on the way, so blanks depend on the order of the files. */
const EXPORTED = `"$0" "$1" rootfs export "$2" | tar -tv --full-time | tr -s ' ' | grep -v ' \\./$' | sort`;

const ODD = `set -e
cd /srv; echo text >one; ln one two; mkfifo fifo; mkdir -m 2750 dir; chown 1234:4321 dir; chmod 4755 one
truncate -s 100M sparse; printf end >>sparse
printf x >"$(printf 'odd \\n\\377 name')"; ln -s /nowhere dangling; touch -d 2001-02-03T04:05:06.789012345 old
cp /bin/true cap
perl -e 'for (["/srv/cap", "security.capability", pack("H*", "0100000200200000000000000000000000000000")], ["/srv/one", "user.note", "said"]) { my ($f, $n, $v) = @$_; syscall(188, $f, $n, $v, length $v, 0) == 0 or die "$n $!" }'
mkdir acl
perl -e 'my $acl = pack("V", 2) . join("", map { pack("vvV", @$_) } [1, 7, ~0], [2, 5, 1234], [4, 4, ~0], [8, 6, 4321], [16, 7, ~0], [32, 0, ~0]); for ("access", "default") { my ($f, $n) = ("/srv/acl", "system.posix_acl_$_"); syscall(188, $f, $n, $acl, length $acl, 0) == 0 or die "$n $!" }'
touch acl/in
rm -r /usr/share/doc; mkdir /usr/share/doc; echo new >/usr/share/doc/new; rm /etc/motd
echo 10.9.8.7 elsewhere >>/etc/hosts; groupadd more`;

/** Waits until a process has written another number. */
const GOES_ON = 'was=$(cat /srv/a); until [ "$(cat /srv/a)" != "$was" ]; do :; done';

describe('committed images', function () {
  this.timeout(120_000);
  let folder: string;
  let env: Record<string, string>;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'vtu-commit-'));
    env = { XDG_CACHE_HOME: folder };
  });
  after(async () => {
    const names = images().map(({ name }) => name);
    if (names.length > 0) await virt(['rootfs', 'remove', ...names], { env });
    await virt(['rootfs', 'prune', '--all'], { env });
    rmSync(folder, { recursive: true });
  });

  interface ListedImage {
    readonly name: string;
    readonly parent?: string;
    readonly layer?: string;
    readonly size: number;
  }
  const listed = (): {
    images: ListedImage[];
    layers: { key: string; parent: string }[];
    bases: { key: string }[];
  } =>
    JSON.parse(
      execFileSync(process.execPath, [PROGRAM, 'rootfs', 'list', '--json'], {
        env: allEnv(),
        encoding: 'utf8',
      }),
    );
  const allEnv = () => ({ ...process.env, ...env });
  const images = () => listed().images;

  async function good(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await virt(args, { env });
    assert.equal(status, 0, stderr);
    return stdout;
  }
  const from = (name: string, script: string) => good('run', '--release', name, '--', 'sh', '-c', script);

  it('are made by run --commit, only if the command succeeds, and hold what it wrote', async () => {
    const tarball = testTarball();
    const failed = await virt(['run', '-t', tarball, '--commit', 'odd', '--', 'sh', '-c', 'exit 3'], { env });
    assert.equal(failed.status, 3);
    assert.match(failed.stderr, /the image odd was not made, because the status is 3/);
    assert.deepEqual(images(), []);
    const binds = ['--bind-ro', '/etc/hostname', '/opt/new/file', '--bind-ro', '/usr', '/opt/host'];
    await good('run', '-t', tarball, ...binds, '--commit', 'odd', '--', 'sh', '-c', ODD);
    const [image] = images();
    assert.equal(image?.parent, tarball);
    assert.ok((image?.size ?? Infinity) < 10_000_000, 'a layer, not a copy');
    const seen = await good(
      ...['run', '--release', 'odd', '--hostname', 'other', '--network', 'none', '--', 'sh', '-c'],
      'ls /usr/share/doc /opt; ls /etc/motd 2>&1; cat /etc/hosts /etc/hostname; getent group more; ls -A /home/user; ls /tmp',
    );
    assert.match(seen, /^\/opt:\n\n\/usr\/share\/doc:\nnew\n/);
    assert.match(seen, /motd.*No such file/);
    assert.match(seen, /127\.0\.1\.1 other\n/);
    assert.doesNotMatch(seen, /elsewhere/);
    assert.match(seen, /more:x:\d+:/);
    assert.match(seen, /\.profile/);
  });

  it('are the same after rootfs export and import, and in a plain copy', async () => {
    const layered = await from('odd', FINGERPRINT);
    assert.match(layered, /linked/);
    assert.match(layered, /security\.capability 20 0100000200200000/);
    assert.match(layered, /user\.note 4 73616964/);
    // Users and groups of access control lists are those of the testbed: 1234 and 4321.
    assert.match(layered, /system\.posix_acl_access 52 02000000.*02000500d2040000.*08000600e1100000/);
    assert.match(layered, /system\.posix_acl_default 52 .*02000500d2040000/);
    assert.match(layered, /srv\/acl\/in 660\n/);
    execFileSync(
      'sh',
      ['-c', '"$0" "$1" rootfs export odd | "$0" "$1" rootfs import - flat', process.execPath, PROGRAM],
      {
        env: allEnv(),
      },
    );
    assert.equal(await from('flat', FINGERPRINT), layered);
    const copied = await good('run', '--release', 'odd', '--mode', 'copy', '--', 'sh', '-c', FINGERPRINT);
    assert.equal(copied, layered);
    // Every name of the tree, and again over the flat one. Opening a testbed makes a new root directory.
    await good('run', '--release', 'flat', '--commit', 'again', '--', 'true');
    const names = (name: string) =>
      execFileSync('sh', ['-c', EXPORTED, process.execPath, PROGRAM, name], {
        env: allEnv(),
        encoding: 'latin1',
        maxBuffer: 1 << 28,
      });
    const odd = names('odd');
    assert.ok(names('flat') === odd, 'flat');
    assert.ok(names('again') === odd, 'again');
  });

  it('are made of an open testbed, whose processes go on, and which may have any caller', async () => {
    const random = randomFrom(SEED);
    const server = Server.start({ argv: ['--release', 'odd', '--hostname', 'live'], env });
    try {
      assert.equal(await server.reply(), 'ok');
      await server.ask('open');
      // Both files are written by turns: with stopped processes at most one step apart.
      const writer = 'i=0; while :; do i=$((i+1)); echo $i >/srv/a; echo $i >/srv/b; done';
      await good('exec', 'live', '--', 'sh', '-c', `setsid sh -c '${writer}' >/dev/null 2>&1 </dev/null &`);
      await good('exec', 'live', '--', 'sh', '-c', 'until [ -s /srv/b ]; do :; done');
      await good('commit', 'live', 'child');
      const [a = 0, b = 0] = (await from('child', 'cat /srv/a /srv/b')).split('\n').map(Number);
      assert.ok(a - b === 0 || a - b === 1 || a === 0 || b === 0, `${a} ${b}`);
      await good('exec', 'live', '--', 'sh', '-c', GOES_ON);
      // Killed at any instant, a commit leaves processes that go on, and the old image.
      for (let round = 0; round < 3; round += 1) {
        const killed = spawn(process.execPath, [PROGRAM, 'commit', 'live', 'child'], {
          env: allEnv(),
          stdio: 'ignore',
          detached: true,
        });
        const ended = once(killed, 'exit');
        await delay(random() * 600);
        killed.kill('SIGKILL');
        await ended;
        await good('exec', 'live', '--', 'sh', '-c', GOES_ON);
      }
      assert.match(await from('child', 'cat /srv/a'), /^\d*\n?$/);
      // One that waits for another process ends at a signal.
      const trees = () =>
        readdirSync(join(folder, 'virt-ts-unshare/bases')).filter((key) => !key.startsWith('.'));
      const lock = await waitLock(join(folder, 'virt-ts-unshare/locks/layers'), silentLog);
      const before = trees().length;
      const waits = spawn(process.execPath, [PROGRAM, 'commit', 'live', 'waits'], {
        env: allEnv(),
        stdio: 'ignore',
      });
      const ended = once(waits, 'exit');
      while (trees().length === before) await delay(10);
      waits.kill('SIGTERM');
      assert.deepEqual(await ended, [null, 'SIGTERM']);
      lock.release();
    } finally {
      server.endOfFile();
      await server.reaped;
    }
    assert.equal(
      images().find(({ name }) => name.startsWith('child'))?.parent,
      images().find(({ name }) => name.startsWith('odd'))?.name,
    );
  });

  it('and imported ones wait for each other where they have one name, and the second is refused', async () => {
    const made = images().find(({ name }) => name.startsWith('odd'))?.name ?? '';
    const [arch = ''] = made.split('-').slice(-1);
    const place = (kind: string) => join(folder, `virt-ts-unshare/${kind}`);
    /** What a program that has waited for the lock of the image reports, when the file was made meanwhile. */
    const waits = async (file: string, ...args: string[]): Promise<string> => {
      const lock = await waitLock(join(place('locks'), `image-both-${arch}`), silentLog);
      const child = spawn(process.execPath, [PROGRAM, ...args], { env: allEnv() });
      const end = ended(child);
      for await (const chunk of child.stderr) if (String(chunk).includes('waiting for another')) break;
      copyFileSync(join(place('images'), `odd-${arch}.image`), join(place('images'), file));
      lock.release();
      const { status, stdout } = await end;
      rmSync(join(place('images'), file));
      return `${status} ${stdout}`;
    };
    const words = ['run', '--release', 'odd', '--commit', 'both', '--', 'true'];
    assert.equal(await waits(`both-${arch}.tar`, ...words), '2 ');
    assert.equal(await waits(`both-${arch}.image`, 'rootfs', 'import', testTarball(), 'both'), '2 ');
    assert.ok(!images().some(({ name }) => name.startsWith('both')));
  });

  it('are not made when the helper that keeps the processes stopped is killed, and these go on', async () => {
    const programs = mkdtempSync(join(tmpdir(), 'vtu-commit-programs-'));
    const [cp, copying, go] = ['cp', 'copying', 'go'].map((name) => join(programs, name));
    assert.ok(cp !== undefined && copying !== undefined && go !== undefined);
    // Root of the holder executes it.
    chmodSync(programs, 0o755);
    execFileSync('mkfifo', ['-m', '666', copying, go]);
    writeFileSync(cp, `#!/bin/sh\necho >${copying}; read -r word <${go}; exec /bin/cp "$@"\n`, {
      mode: 0o755,
    });
    const server = Server.start({ argv: ['--release', 'odd', '--hostname', 'stopped'], env });
    try {
      assert.equal(await server.reply(), 'ok');
      await server.ask('open');
      const counter = 'i=0; while :; do i=$((i+1)); echo $i >/srv/a; done';
      await good(
        'exec',
        'stopped',
        '--',
        'sh',
        '-c',
        `setsid sh -c '${counter}' >/dev/null 2>&1 </dev/null &`,
      );
      const committing = virt(['commit', 'stopped', 'torn'], {
        env: { ...env, PATH: `${programs}:${process.env.PATH}` },
      });
      await readFile(copying);
      rmSync(cp);
      const helper = processTree(process.pid).find(({ command }) => / freeze \d+$/.test(command));
      process.kill(helper?.pid ?? assert.fail('there is no helper'), 'SIGKILL');
      await writeFile(go, '\n');
      const { status, stderr } = await committing;
      assert.equal(status, 255, stderr);
      assert.match(stderr, /stopped was killed while their files were read; commit again/);
      assert.ok(!images().some(({ name }) => name.startsWith('torn')));
      await good('exec', 'stopped', '--', 'sh', '-c', GOES_ON);
    } finally {
      server.endOfFile();
      await server.reaped;
      rmSync(programs, { recursive: true });
    }
  });

  it('keep their parents, whatever is pruned or removed', async () => {
    await good('rootfs', 'remove', 'odd');
    await good('rootfs', 'prune', '--all');
    assert.match(await from('child', 'cat /srv/old /usr/share/doc/new'), /new/);
    const { layers, bases } = listed();
    const base = layers.map(({ parent }) => parent).find((key) => bases.some((one) => one.key === key)) ?? '';
    const { status, stderr } = await virt(['rootfs', 'remove', base], { env });
    assert.equal(status, 1);
    assert.match(stderr, /is a parent of the images .*; remove these first/);
    await good('rootfs', 'remove', 'child', 'again');
    await good('rootfs', 'prune');
    assert.deepEqual(listed().layers, []);
    const begun = readdirSync(join(folder, 'virt-ts-unshare/bases')).filter((name) => name.startsWith('.'));
    assert.deepEqual(begun, []);
  });

  it('are built by a recipe, and again', async () => {
    const build = (...args: string[]) => virt(['rootfs', 'build', 'made', ...args], { env });
    const failed = await build('--from', 'flat', '--run', 'false');
    assert.equal(failed.status, 1);
    assert.match(failed.stderr, /false: ended with status 1; the image made-\S+ was not made/);
    assert.equal(
      (await build('--from', 'flat', '--run', 'date +%s%N >/srv/when', '--run', 'echo b >/srv/b')).status,
      0,
    );
    const first = await from('made', 'cat /srv/when /srv/b');
    assert.match(first, /^\d+\nb\n$/);
    assert.equal((await build()).status, 0);
    assert.notEqual(await from('made', 'cat /srv/when /srv/b'), first);
    assert.equal(listed().layers.length, 1, 'the layer that was replaced is gone');
    const own = await virt(['rootfs', 'build', 'made', '--from', 'made', '--run', 'true'], { env });
    assert.match(own.stderr, /cannot be built from itself/);
  });

  it('have clear errors', async () => {
    const refused = async (words: RegExp, ...args: string[]) => {
      const { status, stderr } = await virt(args, { env });
      assert.equal(status, 2, stderr);
      assert.match(stderr, words);
    };
    const tree = join(folder, 'tree');
    mkdirSync(join(tree, 'bin'), { recursive: true });
    execFileSync('cp', ['-L', '/bin/sh', join(tree, 'bin')]);
    await refused(
      /cannot become an image; call rootfs import/,
      'run',
      '--rootfs',
      tree,
      '--commit',
      'x',
      '--',
      'true',
    );
    await refused(
      /--mode=copy cannot become/,
      'run',
      '-r',
      'made',
      '--mode',
      'copy',
      '--commit',
      'x',
      '--',
      'true',
    );
    await refused(/was built or imported/, 'run', '-r', 'made', '--commit', 'flat', '--', 'true');
    await refused(/cannot be the name of an image/, 'run', '-r', 'made', '--commit', '../x', '--', 'true');
    await refused(/no open testbed none/, 'commit', 'none', 'x');
    await refused(/there is no image none/, 'rootfs', 'export', 'none');
  });

  it(`lose nothing when two servers commit and prune and are killed at any instant (seed ${SEED})`, async () => {
    const random = randomFrom(SEED);
    await good('rootfs', 'build', 'kept', '--from', 'flat', '--run', 'echo kept >/srv/kept');
    const start = (...args: string[]) => {
      const child = spawn(process.execPath, [PROGRAM, ...args], {
        env: allEnv(),
        stdio: 'ignore',
        detached: true,
      });
      return { child, ended: once(child, 'exit') };
    };
    for (let round = 0; round < ROUNDS; round += 1) {
      const text = `round ${round}`;
      const commit = (name: string) =>
        start(
          'run',
          '--release',
          'kept',
          '--commit',
          name,
          '--',
          'sh',
          '-c',
          `echo ${text} >/srv/round; head -c 3000000 /dev/zero >/srv/big`,
        );
      const all = [
        commit('first'),
        commit('second'),
        start('rootfs', 'prune', '--all'),
        start('rootfs', 'prune', '--max-age=0'),
      ];
      await delay(random() * 1500);
      all[round % 2]?.child.kill('SIGKILL');
      all[2 + (round % 2)]?.child.kill('SIGKILL');
      await Promise.all(all.map(({ ended }) => ended));
      assert.equal(await from('kept', 'cat /srv/kept'), 'kept\n', text);
      const unkilled = round % 2 === 0 ? 'second' : 'first';
      assert.equal(
        await from(unkilled, 'cat /srv/round /srv/kept; stat -c %s /srv/big'),
        `${text}\nkept\n3000000\n`,
      );
      for (const { name } of images()) await from(name, 'true');
    }
    await good('rootfs', 'remove', 'first', 'second').catch(() => {});
    await good('rootfs', 'prune');
    const bases = join(folder, 'virt-ts-unshare/bases');
    assert.deepEqual(
      readdirSync(bases).filter((name) => name.startsWith('.')),
      [],
    );
    const needed = new Set(listed().layers.map(({ key }) => key));
    assert.equal(needed.size, listed().images.filter(({ layer }) => layer !== undefined).length);
    assert.ok(
      existsSync(bases) &&
        readFileSync(join(bases, [...needed][0] ?? '', 'base.json'), 'utf8').includes('parent'),
    );
  });
});
