import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { extract, pack } from 'tar-stream';
import type { TarEntry } from '../../../src/archive/tar-entry.ts';
import { TarReader } from '../../../src/archive/tar-reader.ts';
import { type Dialect, TarWriter } from '../../../src/archive/tar-writer.ts';
import { randomFrom } from '../../support/random.ts';
import { archive, END, pax, raw } from './archives.ts';

interface Member extends TarEntry {
  readonly data: string;
}

function members(bytes: Buffer, chunk = bytes.length): Member[] {
  const found: (TarEntry & { data: string })[] = [];
  const reader = new TarReader({
    entry: (entry) => void found.push({ ...entry, data: '' }),
    data: (data) => {
      const last = found.at(-1);
      if (last !== undefined) last.data += data.toString('latin1');
    },
  });
  for (let at = 0; at < bytes.length; at += chunk) reader.push(bytes.subarray(at, at + chunk));
  reader.finish();
  return found;
}

function rewritten(bytes: Buffer, dialect: Dialect): Buffer {
  const chunks: Buffer[] = [];
  const writer = new TarWriter(dialect, (chunk) => void chunks.push(chunk));
  const reader = new TarReader(writer);
  reader.push(bytes);
  reader.finish();
  writer.end();
  return Buffer.concat(chunks);
}

describe('the tar reader', () => {
  const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
  const long = `${'d'.repeat(90)}/${'f'.repeat(200)}`;
  before(() => {
    const path = (name: string): string => join(folder, name);
    mkdirSync(path('d'.repeat(90)));
    writeFileSync(path('empty'), '');
    writeFileSync(path('small'), 'small\n', { mode: 0o751 });
    writeFileSync(path('block'), 'b'.repeat(512));
    writeFileSync(path(long), 'long');
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0x0a, 0xe9])]), 'odd');
    linkSync(path('small'), path('zweiter'));
    symlinkSync('x'.repeat(150), path('link'));
    utimesSync(path('small'), 1e9 + 0.5, 1e9 + 0.5);
    // Node takes a negative time for a mistake.
    execFileSync('touch', ['-d', '@-2', path('empty')]);
    const sparse = openSync(path('sparse'), 'w');
    ftruncateSync(sparse, 3e6);
    writeSync(sparse, 'in the middle', 1_500_000);
    closeSync(sparse);
  });
  after(() => rmSync(folder, { recursive: true }));

  const tar = (...options: string[]): Buffer =>
    execFileSync('tar', ['-c', '-f', '-', '-C', folder, '--sort=name', ...options, '.'], {
      maxBuffer: 1e8,
      env: { ...process.env, TAR_OPTIONS: '', LC_ALL: 'C' },
    });
  const kinds = (list: readonly Member[]): Map<string, string> =>
    new Map(
      list.map((entry) => [
        entry.path,
        `${entry.kind} ${entry.link} ${entry.mode.toString(8)} ${entry.mtime}`,
      ]),
    );

  for (const format of ['gnu', 'oldgnu', 'posix', 'v7', 'ustar']) {
    it(`reads what GNU tar writes in the format ${format}, in pieces of any size`, () => {
      // The oldest formats cannot hold all of it.
      const limits =
        format === 'v7' || format === 'ustar'
          ? ['--exclude=link', `--exclude=./${long}`, '--exclude=empty']
          : [];
      const bytes = tar(`--format=${format}`, '--hard-dereference', ...limits);
      const list = members(bytes);
      assert.deepEqual(members(bytes, 511), list);
      assert.deepEqual(members(bytes, 70_001), list);
      const found = kinds(list);
      assert.equal(found.get('./small'), `file  751 1000000000${format === 'posix' ? '.5' : ''}`);
      assert.match(found.get('./\xff\n\xe9') ?? '', /^file/);
      assert.match(found.get('./') ?? '', /^directory {2}700 /);
      assert.equal(list.find((entry) => entry.path === './block')?.data, 'b'.repeat(512));
      if (limits.length > 0) return;
      assert.match(found.get('./link') ?? '', /^symbolic link x{150} /);
      assert.match(found.get('./empty') ?? '', / -2$/);
      assert.equal(list.find((entry) => entry.path === `./${long}`)?.data, 'long');
    });
  }

  it('reads hard links and sparse files as GNU tar writes them', () => {
    const list = members(tar('--format=posix', '--sparse'), 1000);
    const link = list.find((entry) => entry.kind === 'hard link');
    assert.deepEqual([link?.path, link?.link], ['./zweiter', './small']);
    const sparse = list.find((entry) => entry.path === './sparse');
    assert.equal(sparse?.sparse?.size, 3e6);
    assert.ok(sparse.size < 100_000 && sparse.data.includes('in the middle'));
    assert.equal(
      sparse.sparse.segments.reduce((sum, { size }) => sum + size, 0),
      sparse.size,
    );
  });

  it('refuses a directory that is marked as sparse', () => {
    const records = pax([
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.name', 'directory/'],
      ['GNU.sparse.realsize', '0'],
    ]);
    const bytes = archive(records, raw({ name: 'x', data: Buffer.from('0\n'.padEnd(512, '\0')) }));
    assert.throws(() => members(bytes), /marks an entry as sparse that is not a file/);
  });

  it('refuses the sparse formats that it does not read, by what they are', () => {
    assert.throws(
      () => members(tar('--format=posix', '--sparse', '--sparse-version=0.1')),
      /another format than 1\.0/,
    );
    assert.throws(
      () => members(tar('--format=posix', '--sparse', '--sparse-version=0.0')),
      /another format than 1\.0/,
    );
    assert.ok(members(tar('--format=gnu')).every((entry) => entry.kind !== 'unknown'));
  });

  it('reads what busybox writes', () => {
    const bytes = execFileSync('busybox', ['tar', '-c', '-f', '-', '-C', folder, '.'], { maxBuffer: 1e8 });
    const found = kinds(members(bytes));
    assert.equal(
      found.get('./small')?.replace(/^hard link .*/, 'file  751 1000000000'),
      'file  751 1000000000',
    );
    assert.match(found.get(`./${long}`) ?? '', /^file/);
    assert.match(found.get('./link') ?? '', /^symbolic link x{150} /);
  });

  it('reads what tar-stream writes, and tar-stream reads what is written here', async () => {
    const stream = pack();
    stream.entry({ name: `größe/${'n'.repeat(300)}`, mtime: new Date(1e12), mode: 0o600 }, 'content');
    stream.entry({ name: 'dir', type: 'directory' });
    stream.entry({ name: 'l', type: 'symlink', linkname: 'größe' });
    stream.finalize();
    const chunks: Buffer[] = [];
    stream.on('data', (chunk) => {
      assert.ok(chunk instanceof Uint8Array);
      chunks.push(Buffer.from(chunk));
    });
    await new Promise<void>((resolve) => stream.on('end', () => resolve()));
    const list = members(Buffer.concat(chunks));
    assert.deepEqual(
      list.map(({ kind, path, data }) => [kind, Buffer.from(path, 'latin1').toString(), data]),
      [
        ['file', `größe/${'n'.repeat(300)}`, 'content'],
        ['directory', 'dir', ''],
        ['symbolic link', 'l', ''],
      ],
    );
    for (const dialect of ['pax', 'gnu'] as const) {
      const names: string[] = [];
      const reader = extract();
      reader.on('entry', (header, body, next) => {
        names.push(`${header.type} ${header.name} ${header.size}`);
        body.on('end', next).resume();
      });
      const ended = new Promise<void>((resolve, reject) => {
        reader.on('finish', () => resolve()).on('error', reject);
      });
      reader.end(rewritten(Buffer.concat(chunks), dialect));
      await ended;
      assert.equal(names[0], `file größe/${'n'.repeat(300)} 7`);
      assert.equal(names.length, 3);
    }
  });

  it('reads its own writing as it was', () => {
    const list = members(tar('--format=posix', '--sparse'));
    assert.deepEqual(members(rewritten(tar('--format=posix', '--sparse'), 'pax')), list);
    const whole = members(tar('--format=gnu'));
    assert.deepEqual(members(rewritten(tar('--format=gnu'), 'gnu')), whole);
  });

  it('keeps sizes over 8 GiB and times before 1970', () => {
    for (const dialect of ['pax', 'gnu'] as const) {
      const chunks: Buffer[] = [];
      const writer = new TarWriter(dialect, (chunk) => void chunks.push(chunk));
      const size = 9 * 2 ** 30;
      writer.entry({
        kind: 'file',
        path: 'large',
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: '-5',
        size,
        link: '',
        attributes: new Map(),
      });
      writer.flush();
      const found: TarEntry[] = [];
      new TarReader({ entry: (entry) => void found.push(entry), data: () => {} }).push(Buffer.concat(chunks));
      assert.equal(found[0]?.size, size);
      assert.equal(found[0].mtime, '-5');
    }
  });

  it('gives times exactly as far as a file system keeps them', () => {
    const time = (text: string): string | undefined =>
      members(archive(pax([['mtime', text]]), raw({ name: 'a' }))).at(-1)?.mtime;
    assert.equal(time('1.123456789987'), '1.123456789');
    assert.equal(time('1.500'), '1.5');
    assert.equal(time('-1.25'), '-1.25');
    assert.equal(time('7.000'), '7');
    assert.throws(() => time('now'), /broken record mtime/);
  });

  it('ends with an error and never otherwise for bytes that were damaged at random', () => {
    const bytes = tar('--format=posix', '--sparse');
    const random = randomFrom(5);
    let refused = 0;
    for (let i = 0; i < 300; i += 1) {
      const damaged = Buffer.from(bytes);
      for (let k = 0; k < 20; k += 1)
        damaged[Math.floor(random() * damaged.length)] = Math.floor(random() * 256);
      try {
        members(damaged, 4096);
      } catch (error) {
        refused += 1;
        assert.match(String(error), /^CopyError: the archive /);
      }
    }
    assert.ok(refused > 100, `${refused} of 300`);
  });

  it('takes an archive only with its end', () => {
    assert.equal(members(archive(raw({ name: 'a', data: 'x' }))).length, 2);
    assert.throws(() => members(archive(raw({ name: 'a' })).subarray(0, -END.length)), /is truncated/);
  });
});
