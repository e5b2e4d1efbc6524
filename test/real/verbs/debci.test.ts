/** `debci install` and `remove`, without a debci: see test/driver/debci.test.ts for one. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { call, virt } from '../../support/program.ts';
import { projectDir } from '../../support/rootfs.ts';
import { skip } from '../../support/skip.ts';

describe('debci', function () {
  this.timeout(60_000);
  let prefix: string;
  let backend: string;
  beforeEach(() => {
    prefix = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-debci-'));
    chmodSync(prefix, 0o755);
    mkdirSync(join(prefix, 'share/debci/backends'), { recursive: true });
    backend = join(prefix, 'share/debci/backends/ts_unshare');
  });
  afterEach(() => rmSync(prefix, { recursive: true }));

  const debci = (...words: string[]) => virt(['debci', ...words, '--prefix', prefix]);

  it('install puts the backend among those of debci, with a server that starts this program', async () => {
    const { status, stdout, stderr } = await debci('install');
    assert.deepEqual([status, stdout, stderr], [0, `${backend}\n`, '']);
    const files = readdirSync(join(projectDir, 'debci/ts_unshare'));
    assert.deepEqual(readdirSync(backend).sort(), [...files, 'server'].sort());
    for (const name of readdirSync(backend)) {
      assert.equal(statSync(join(backend, name)).mode & 0o777, name.endsWith('.sh') ? 0o644 : 0o755, name);
    }
    // A service has a short PATH, without the directory of this Node.
    const version = await call(['env', '-i', 'PATH=/usr/bin:/bin', join(backend, 'server'), '--version']);
    assert.equal(version.stdout, (await virt(['--version'])).stdout);
  });

  it('install replaces what it has installed, and leaves nothing else', async () => {
    await debci('install');
    writeFileSync(join(backend, 'of-an-older-version'), '');
    assert.equal((await debci('install')).status, 0);
    assert.ok(!existsSync(join(backend, 'of-an-older-version')));
    assert.deepEqual(readdirSync(join(backend, '..')), ['ts_unshare']);
  });

  it('install leaves the backend of another package alone, and so does remove', async () => {
    mkdirSync(backend);
    writeFileSync(join(backend, 'test-package'), 'of another package');
    for (const command of ['install', 'remove']) {
      const { status, stderr } = await debci(command);
      assert.equal(status, 2);
      assert.match(stderr, /was not made by virt-ts-unshare debci install; /);
    }
    assert.deepEqual(readdirSync(backend), ['test-package']);
  });

  it('install makes the directory of root filesystems, and finds nothing that the account of the workers lacks', async () => {
    const data = join(prefix, 'share/debci/data');
    mkdirSync(data);
    const { status, stderr } = await debci('install');
    // Its owner is the caller, for whom testbeds work.
    assert.deepEqual([status, stderr], [0, '']);
    assert.ok(existsSync(join(prefix, 'share/debci/ts_unshare')));
  });

  it('install gives the account of the workers nothing that a link of it leads to', async function () {
    if (process.geteuid?.() !== 0) return skip(this, 'only root can give files away');
    const [data, victim] = [join(prefix, 'share/debci/data'), join(prefix, 'victim')];
    for (const path of [data, victim]) mkdirSync(path);
    chownSync(data, 65534, 65534);
    symlinkSync(victim, join(prefix, 'share/debci/ts_unshare'));
    assert.equal((await debci('install')).status, 0);
    assert.equal(statSync(victim).uid, 0);
  });

  it('remove takes it away, and reports when there is none', async () => {
    await debci('install');
    assert.deepEqual((await debci('remove')).stdout, `${backend}\n`);
    assert.ok(!existsSync(backend));
    const again = await debci('remove');
    assert.deepEqual([again.status, again.stdout], [0, '']);
    assert.match(again.stderr, /has no backend ts_unshare/);
  });

  it('needs a debci', async () => {
    rmSync(join(prefix, 'share'), { recursive: true });
    const { status, stderr } = await debci('install');
    assert.equal(status, 2);
    assert.match(stderr, /^virt-ts-unshare: there is no debci in .*; install the package debci-worker, or /);
  });
});
