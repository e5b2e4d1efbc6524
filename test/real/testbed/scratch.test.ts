import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestbedError } from '../../../src/errors.ts';
import { Provider } from '../../../src/testbed/provider.ts';
import { makeRoots } from '../../race/beds.ts';
import { testTarball } from '../../support/rootfs.ts';
import { Server } from '../../support/server.ts';
import { ONLY_ROOT, skip } from '../../support/skip.ts';
import { script, testOptions, testProvider } from '../../support/testbed.ts';

describe('a scratch on disk', function () {
  this.timeout(120_000);
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-scratch-'));
    chmodSync(folder, 0o755);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const onDisk = (path = folder) => testProvider({ scratch: { kind: 'directory', path } });
  /** The one folder for an upper layer. */
  const upper = () => {
    const [name = '', ...more] = readdirSync(folder);
    assert.deepEqual(more, []);
    return join(folder, name);
  };

  // With the set-group-ID bit what is made gets a group that may have no name in the stage.
  for (const mode of [0o755, 0o2755]) {
    it(`of mode ${mode.toString(8)} is closed to all but root of the testbed`, async () => {
      chmodSync(folder, mode);
      const provider = onDisk();
      try {
        const testbed = await provider.open();
        const { mode: found, uid } = statSync(upper());
        assert.equal(found & 0o7777, 0o700);
        if (!ONLY_ROOT) assert.notEqual(uid, process.getuid?.());
        await testbed.revert();
        assert.equal(statSync(upper()).mode & 0o7777, 0o700);
        await testbed.close();
        assert.deepEqual(readdirSync(folder), []);
      } finally {
        await provider.dispose();
      }
    });
  }

  // Else programs of the host, or of another testbed, would be executed by it.
  it('is not taken in place of memory for an error that has nothing to do with it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-empty-'));
    chmodSync(folder, 0o755);
    mkdirSync(join(folder, 'bin'));
    writeFileSync(join(folder, 'bin/sh'), '#!/nowhere\n', { mode: 0o755 });
    const reported: string[] = [];
    const report = (message: string) => void reported.push(message);
    const log = { debugging: true, debug: report, warn: report };
    const provider = new Provider(testOptions({ root: { rootfs: folder } }), log);
    try {
      await assert.rejects(provider.open(), { code: 'NO_SHELL' });
      assert.doesNotMatch(reported.join('\n'), /no upper layer in memory/);
    } finally {
      await provider.dispose();
      rmSync(folder, { recursive: true });
    }
  });

  it('is made and removed while root of another testbed has registered an interpreter for all programs', async () => {
    // A copy of a larger one takes seconds.
    const roots = makeRoots(['busybox']);
    const provider = testProvider({
      root: { tarball: roots.tarball('busybox') },
      scratch: { kind: 'directory', path: folder },
      mode: 'copy',
    });
    try {
      const hostile = await provider.open();
      const testbed = await provider.open();
      const { status } = await hostile.run([
        'sh',
        '-c',
        "mkdir -p /mnt; mount -t binfmt_misc none /mnt || exit 77; printf %s ':all:M::\\x7fELF::/nonexistent:' >/mnt/register; /bin/busybox ls",
      ]);
      // 77: before Linux 6.7 the mount is refused. 127: the interpreter does not exist.
      assert.ok(status === 77 || status === 127, String(status));
      await testbed.close();
      assert.equal(readdirSync(folder).length, 1);
      // The registration is one of the hostile testbed's own user namespace.
      await (await provider.open()).close();
    } finally {
      await provider.dispose();
      rmSync(roots.folder, { recursive: true });
    }
    assert.deepEqual(readdirSync(folder), []);
  });

  it('lets no other user of the host in', async function () {
    if (process.getuid?.() !== 0) skip(this, 'only root can be another user');
    const provider = onDisk();
    try {
      const testbed = await provider.open();
      const path = upper();
      const attempts = [
        'ls "$1"',
        'cd "$1"',
        'touch "$1/x"',
        'mv "$1/upper" "$1/y"',
        'ls "$1/upper"',
        'mv "$1" "$1.x"',
      ];
      for (const attempt of attempts) {
        const other = ['--reuid=65534', '--regid=65534', '--clear-groups', 'sh', '-c', attempt, 'sh', path];
        const { status, stderr } = spawnSync('setpriv', other, { encoding: 'utf8' });
        assert.notEqual(status, 0, attempt);
        assert.match(stderr, /[Pp]ermission denied|can't cd/, attempt);
      }
      assert.deepEqual(readdirSync(path).sort(), ['upper', 'work']);
      await testbed.close();
      assert.deepEqual(readdirSync(folder), []);
    } finally {
      await provider.dispose();
    }
  });

  it('is refused where every user could put another in its place', async () => {
    chmodSync(folder, 0o777);
    const provider = onDisk();
    await assert.rejects(
      provider.open(),
      (error) => error instanceof TestbedError && /chmod \+t/.test(error.message),
    );
    await provider.dispose();
    assert.deepEqual(readdirSync(folder), []);
    chmodSync(folder, 0o1777);
    const sticky = onDisk();
    await (await sticky.open()).close();
    assert.deepEqual(readdirSync(folder), []);
    await sticky.dispose();
  });

  it('is removed from a directory with sticky bit that belongs to another user', async () => {
    const ours = () => readdirSync('/tmp').filter((name) => name.startsWith(`scratch-${process.pid}-`));
    const provider = onDisk('/tmp');
    const testbed = await provider.open();
    await script(testbed, 'mkdir -m 0 /a /a/b; chown 33:33 /a || :');
    assert.equal(ours().length, 1);
    await provider.dispose();
    assert.deepEqual(ours(), []);
  });

  it('of a server that was killed is removed by the next', async () => {
    const server = Server.start({ argv: ['--tarball', testTarball(), '--scratch', folder] });
    await server.reply();
    await server.ask('open');
    const left = upper();
    await server.kill('SIGKILL');
    await server.reaped;
    assert.ok(statSync(left).isDirectory());
    // As it is when a server is killed before it has given it away.
    mkdirSync(left.replace(/-\d+$/, '-77'), { mode: 0o700 });
    const provider = onDisk();
    await (await provider.open()).close();
    await provider.dispose();
    assert.deepEqual(readdirSync(folder), []);
  });
});
