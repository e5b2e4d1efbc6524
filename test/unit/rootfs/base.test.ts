import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { mock } from 'node:test';
import { TestbedError } from '../../../src/errors.ts';
import type { Argv } from '../../../src/host.ts';
import { silentLog } from '../../../src/log.ts';
import { ownIdentity } from '../../../src/processes/identity.ts';
import { useBase } from '../../../src/rootfs/base.ts';
import { type CacheFolder, writeWhole } from '../../../src/rootfs/cache.ts';
import { cacheFailure } from '../../../src/rootfs/cache-failure.ts';
import { hashOf } from '../../../src/rootfs/identity.ts';
import { waitLock } from '../../../src/rootfs/lock.ts';
import { type BaseInfo, choosePruned, prune } from '../../../src/rootfs/prune.ts';
import { livingUsers } from '../../../src/rootfs/users.ts';
import { BaseCache, textIn } from '../../support/bases.ts';
import { fakeHolder } from '../../support/fake-holder.ts';

describe('a base', () => {
  let folder: string;
  let cache: CacheFolder;
  let tarball: string;
  let made: BaseCache;
  const makeTarball = (name: string, text: string) => made.makeTarball(name, text);
  const use = (path?: string) => made.use(path);
  const entries = () => made.entries();

  beforeEach(() => {
    made = new BaseCache();
    ({ folder, cache, tarball } = made);
  });
  afterEach(() => made.remove());

  it('unpacks a tarball once and finds it again', async () => {
    const first = await use();
    assert.equal(textIn(first), 'one');
    writeFileSync(join(first.path, 'seen'), '');
    const second = await use();
    assert.equal(second.path, first.path);
    assert(existsSync(join(second.path, 'seen')));
    assert.equal(entries().length, 1);
    await first.release();
    await second.release();
  });

  it('uses a folder as it is', async () => {
    const base = await useBase({ kind: 'directory', path: folder }, fakeHolder, cache, silentLog);
    assert.equal(base.path, folder);
    await base.release();
    assert.deepEqual(entries(), []);
  });

  it('notices a changed tarball under the same name, even with the same size and date', async () => {
    const first = await use();
    const { atime, mtime } = statSync(tarball);
    const other = makeTarball('b.tar', 'two');
    assert.equal(statSync(other).size, statSync(tarball).size);
    copyFileSync(other, tarball);
    utimesSync(tarball, atime, mtime);
    const second = await use();
    assert.equal(textIn(second), 'two');
    assert.notEqual(second.path, first.path);
    renameSync(makeTarball('c.tar', 'six'), tarball);
    assert.equal(textIn(await use()), 'six');
    assert.equal(textIn(first), 'one');
  });

  it('knows the same content under another name or date without unpacking it', async () => {
    const first = await use();
    writeFileSync(join(first.path, 'seen'), '');
    copyFileSync(tarball, join(folder, 'copy.tar'));
    assert.equal((await use(join(folder, 'copy.tar'))).path, first.path);
    utimesSync(tarball, 1, 1);
    assert.equal((await use()).path, first.path);
    assert(existsSync(join(first.path, 'seen')));
  });

  it('keeps nothing of what is no root filesystem or no whole tarball', async () => {
    const bad = join(folder, 'bad.tar');
    execFileSync('tar', ['-cf', bad, '-C', folder, 'a.tar']);
    await assert.rejects(use(bad), { name: 'TestbedError', message: /no \/bin\/sh/ });
    const cut = readFileSync(makeTarball('big.tar', 'x'.repeat(100_000))).subarray(0, 60_000);
    writeFileSync(join(folder, 'cut.tar'), cut);
    await assert.rejects(use(join(folder, 'cut.tar')), /unpacking .*cut\.tar failed: .*EOF.*; make/);
    const gz = execFileSync('gzip', ['-c', tarball]);
    writeFileSync(join(folder, 'cut.tar.gz'), gz.subarray(0, gz.length - 20));
    await assert.rejects(use(join(folder, 'cut.tar.gz')), /unpacking .* failed/);
    writeFileSync(join(folder, 'text'), 'text');
    await assert.rejects(use(join(folder, 'text')), /is not a tarball/);
    await assert.rejects(use(join(folder, 'none')), /none: ENOENT/);
    assert.deepEqual(entries(), []);
    assert.deepEqual(readdirSync(cache.locks), []);
  });

  it('does not trust a record that is spoilt', async () => {
    const first = await use();
    await first.release();
    writeFileSync(join(first.path, '../../base.json'), '');
    writeFileSync(join(first.path, 'text'), 'spoilt');
    assert.equal(textIn(await use()), 'one');
    assert.equal(entries().length, 1);
  });

  it('does not trust a base of an earlier boot that was not seen to have settled', async () => {
    const first = await use();
    await first.release();
    const record = join(first.path, '../../base.json');
    const text = readFileSync(record, 'utf8');
    writeFileSync(join(first.path, 'text'), 'spoilt');
    writeFileSync(record, text.replace(ownIdentity().boot, '00000000'));
    const again = await use();
    assert.equal(textIn(again), 'one');
    await again.release();
    // Unpacked long enough ago, in this boot: from then on it is trusted in any.
    writeFileSync(join(again.path, 'text'), 'kept');
    writeFileSync(record, text.replace(/"uptime":\d+/, '"uptime":-100'));
    await (await use()).release();
    writeFileSync(record, text.replace(ownIdentity().boot, '00000000'));
    assert.equal(textIn(await use()), 'kept');
  });

  it('has not settled because the time of day was set', async () => {
    const first = await use();
    await first.release();
    const record = join(first.path, '../../base.json');
    const text = readFileSync(record, 'utf8');
    writeFileSync(record, text.replace(/"unpacked":"[^"]*"/, '"unpacked":"2020-01-01T00:00:00.000Z"'));
    await (await use()).release();
    assert.ok(!existsSync(join(first.path, '../../settled')));
  });

  it('is not trusted and made again where an rm -r has begun with it, in use or not', async () => {
    for (const part of ['users', 'base.json']) {
      const first = await use();
      writeFileSync(join(first.path, 'text'), 'spoilt');
      rmSync(join(first.path, '../..', part), { recursive: true });
      const second = await use();
      assert.equal(textIn(second), 'one', part);
      assert.equal((await use()).path, second.path);
      await first.release();
    }
  });

  it('is not made of a tarball that changes between its hash and its unpacking', async () => {
    utimesSync(tarball, 1, 1);
    const other = readFileSync(makeTarball('b.tar', 'two'));
    const change = join(folder, 'change');
    const holder = {
      ...fakeHolder,
      enter: ([file, ...args]: Argv): Argv =>
        file === 'tar'
          ? ['sh', '-c', 'while ! [ -e "$0" ]; do sleep 0.01; done; exec "$@"', change, file, ...args]
          : [file, ...args],
    };
    const using = useBase({ kind: 'tarball', path: tarball }, holder, cache, silentLog);
    // Its hash is known as soon as it is remembered.
    while (readdirSync(cache.tarballs).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    writeFileSync(tarball, other);
    writeFileSync(change, '');
    await assert.rejects(using, { code: 'TARBALL_CHANGED' });
    assert.deepEqual(entries(), []);
  });

  it('is made of the tarball that takes the place of the one that is unpacked', async () => {
    const other = makeTarball('b.tar', 'two');
    let replace = () => renameSync(other, tarball);
    const holder = {
      ...fakeHolder,
      enter: (argv: Argv): Argv => {
        if (argv[0] !== 'tar') return argv;
        replace();
        replace = () => {};
        return argv;
      },
    };
    const base = await made.use(tarball, holder);
    assert.equal(textIn(base), 'two');
    await base.release();
    assert.equal(entries().length, 1);
  });

  it('is released while another process prunes', async () => {
    const lock = await waitLock(join(cache.locks, 'layers'), silentLog);
    await (await use()).release();
    lock.release();
  });

  it('has those pruned that were not used for long, also when it is released at once', async () => {
    const old = await use();
    await old.release();
    utimesSync(join(old.path, '../../users'), 1, 1);
    await (await use(makeTarball('b.tar', 'two'))).release();
    assert.equal(entries().length, 1);
  });

  it('that cannot be made for want of descriptors has the remedy', () => {
    const error = Object.assign(new Error('EMFILE: too many open files, open'), { code: 'EMFILE' });
    const failure = cacheFailure(cache, error);
    assert.ok(failure instanceof TestbedError);
    assert.match(failure.message, /failed: EMFILE: too many open files; raise .*ulimit -n/);
  });

  it('that finds no room reports this, whatever else tar reports, and in plain text', async () => {
    const complain = (words: string) => ({
      ...fakeHolder,
      enter: (argv: Argv): Argv =>
        argv[0] === 'tar' ? ['sh', '-c', 'printf %b "$0" >&2; exit 2', words] : argv,
    });
    const use = (words: string) =>
      useBase({ kind: 'tarball', path: tarball }, complain(words), cache, silentLog);
    const full = 'zstd: error 70: broken\\ntar: ./a\\033[31m: Cannot write: No space left on device\\n';
    await assert.rejects(use(full), { code: 'CACHE_FULL', message: /No space left\P{Cc}*XDG_CACHE_HOME/u });
    await assert.rejects(use('tar: \\033[31mbad\\n'), { code: 'BAD_TARBALL', message: /^\P{Cc}*$/u });
    assert.deepEqual(entries(), []);
  });

  it('leaves nothing of a record that cannot be written', () => {
    mkdirSync(join(cache.tarballs, 'record'));
    assert.throws(() => writeWhole(join(cache.tarballs, 'record'), 'text'));
    assert.deepEqual(readdirSync(cache.tarballs), ['record']);
  });

  it('ends a hash that is aborted with the reason of the caller, and leaves the descriptor open', async () => {
    const ending = new AbortController();
    const fd = openSync(tarball, 'r');
    const hashing = hashOf(fd, ending.signal);
    ending.abort(new Error('enough'));
    await assert.rejects(hashing, /^Error: enough$/);
    closeSync(fd);
  });

  it('ends an unpacking that is aborted', async () => {
    const ending = new AbortController();
    ending.abort();
    const using = useBase({ kind: 'tarball', path: tarball }, fakeHolder, cache, silentLog, ending.signal);
    await assert.rejects(using, { name: 'AbortError' });
    assert.deepEqual(entries(), []);
  });

  it('ends an unpacking that is aborted as it begins', async () => {
    const ending = new AbortController();
    const holder = {
      ...fakeHolder,
      enter: (argv: Argv) => {
        ending.abort();
        return fakeHolder.enter(argv);
      },
    };
    const using = useBase({ kind: 'tarball', path: tarball }, holder, cache, silentLog, ending.signal);
    await assert.rejects(using, { name: 'AbortError' });
    assert.deepEqual(entries(), []);
  });

  it('does not count a mark of another boot, or of a pid that was reused', async () => {
    const base = await use();
    const bases = join(base.path, '../..');
    await base.release();
    const { pid, startTime, namespace, boot } = ownIdentity();
    for (const [name, users] of [
      [`${pid}.${startTime}.${namespace}.00000000.1`, []],
      [`${pid}.1.${namespace}.${boot}.1`, []],
      [`${pid}.${startTime}.${namespace}.${boot}.9`, [pid]],
      // Of another pid namespace: its pid cannot be looked up, so it counts for a day.
      [`77.1.1.${boot}.1`, [77]],
    ] as const) {
      writeFileSync(join(bases, 'users', name), '');
      assert.deepEqual(livingUsers(bases), users, name);
      rmSync(join(bases, 'users', name), { force: true });
    }
    const old = join(bases, 'users', `77.-100000000.1.${boot}.1`);
    writeFileSync(old, '');
    utimesSync(old, 1, 1);
    assert.deepEqual(livingUsers(bases), []);
  });

  it('counts for processes of other pid namespaces as long as it is used', async () => {
    const timers = mock.method(globalThis, 'setInterval');
    try {
      const base = await use();
      const users = join(base.path, '../../users');
      const [mark = ''] = readdirSync(users);
      utimesSync(join(users, mark), 1, 1);
      for (const { arguments: words } of timers.mock.calls) words[0]();
      assert.ok(Date.now() - statSync(join(users, mark)).mtimeMs < 60_000);
      await base.release();
      assert.deepEqual(readdirSync(users), []);
    } finally {
      timers.mock.restore();
    }
  });

  it('prunes by age, then by size, what was used longest ago', () => {
    const info = (key: string, lastUsed: number, size: number, users: number[] = []): BaseInfo => ({
      key,
      folder: key,
      lastUsed,
      users,
      record: {
        ...{ tarball: key, tarballSize: 0, sha256: '', idMap: '', unpacked: '', boot: '' },
        ...{ size, skipped: [] },
      },
    });
    const bases = [info('new', 90, 10), info('used', 1, 10, [1]), info('mid', 50, 10), info('old', 5, 10)];
    const pruned = (maxAge: number, maxSize: number) =>
      choosePruned(bases, { maxAge, maxSize }, 100).map(({ key }) => key);
    assert.deepEqual(pruned(1000, 1000), []);
    assert.deepEqual(pruned(60, 1000), ['old']);
    assert.deepEqual(pruned(1000, 29), ['old', 'mid']);
    assert.deepEqual(pruned(1000, 0), ['old', 'mid', 'new']);
  });

  it('forgets tarballs that are gone', async () => {
    appendFileSync(tarball, '');
    utimesSync(tarball, 1, 1);
    await (await use()).release();
    // Read while its change could still go unnoticed, it was not remembered.
    const base = await use();
    await base.release();
    rmSync(tarball);
    await prune(cache, fakeHolder, silentLog, { maxAge: 1e12, maxSize: 1e12 });
    assert.deepEqual(readdirSync(cache.tarballs), []);
  });
});
