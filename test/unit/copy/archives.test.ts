/** putArchive and getArchive, with the host as the testbed. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { extract, pack } from 'tar-stream';
import type { ArchiveSource } from '../../../src/copy/archive-source.ts';
import { getArchive } from '../../../src/copy/get-archive.ts';
import { putArchive } from '../../../src/copy/put-archive.ts';
import type { CopyOptions } from '../../../src/copy/types.ts';
import { archive, directory, END, pax, raw, TOP } from '../archive/archives.ts';
import { fails, OPTIONS, useFolder } from './copying.ts';
import type { HostTestbed } from './host-testbed.ts';
import { HOSTILE } from './hostile-corpus.ts';
import { describeTree } from './trees.ts';

describe('an archive into a testbed', () => {
  const { path, bytes, host, withTar } = useFolder();
  const owners = process.geteuid?.() === 0;
  const put = (source: ArchiveSource, options: CopyOptions = OPTIONS, testbed = host) =>
    putArchive(testbed, source, bytes('to'), { ...options, owners });

  it('arrives with names, modes, times, links and owners, whatever the size of its pieces', async () => {
    const given = archive(
      raw({ name: 'no/directory/before', data: 'text', mode: 0o750, mtime: 1_600_000_000 }),
      raw({ type: '1', name: 'hard', link: 'no/directory/before' }),
      raw({ type: '2', name: 'soft', link: '/anywhere' }),
      Buffer.concat([
        pax([['mtime', '1500000000.25']]),
        raw({ name: Buffer.from([0xff, 0x80]), data: 'odd' }),
      ]),
      raw({ name: 'setuid', mode: 0o4755 }),
      ...(owners
        ? [
            pax([
              ['uid', '3'],
              ['gid', '4'],
            ]),
            raw({ name: 'owned' }),
          ]
        : []),
    );
    for (const size of [1, 700, given.length]) {
      const pieces = Array.from({ length: Math.ceil(given.length / size) }, (_, i) =>
        given.subarray(i * size, (i + 1) * size),
      );
      await put(Readable.from(pieces));
      assert.equal(readFileSync(path('to/no/directory/before'), 'utf8'), 'text');
      const { mode, mtimeMs, nlink } = statSync(path('to/hard'));
      assert.deepEqual([mode & 0o7777, mtimeMs, nlink], [0o750, 1.6e12, 2]);
      assert.equal(readlinkSync(path('to/soft')), '/anywhere');
      assert.equal(statSync(path('to/setuid')).mode & 0o7777, 0o4755);
      const odd = Buffer.concat([bytes('to/'), Buffer.from([0xff, 0x80])]);
      assert.deepEqual([readFileSync(odd, 'utf8'), statSync(odd).mtimeMs], ['odd', 1_500_000_000_250]);
      if (owners) {
        const { uid, gid } = statSync(path('to/owned'));
        assert.deepEqual([uid, gid], [3, 4]);
      }
    }
  });

  it('comes from tar-stream, a web stream or a buffer as well', async () => {
    const packed = pack();
    packed.entry({ name: 'a' }, 'from tar-stream');
    packed.finalize();
    await put(packed);
    const web = new Blob([archive(raw({ name: 'b', data: 'from the web' }))]).stream();
    await put(web);
    await put(new Uint8Array(archive(raw({ name: 'c', data: 'from memory' }))));
    const texts = ['a', 'b', 'c'].map((name) => readFileSync(path(`to/${name}`), 'utf8'));
    assert.deepEqual(texts, ['from tar-stream', 'from the web', 'from memory']);
  });

  it('has its source ended when it is refused', async () => {
    const ended: string[] = [];
    const broken = new Uint8Array(1024).fill(1);
    async function* generated() {
      try {
        for (;;) yield broken;
      } finally {
        ended.push('generator');
      }
    }
    await fails(put(generated()), 'BROKEN_ARCHIVE');
    const web = new ReadableStream({
      pull: (controller) => controller.enqueue(broken),
      cancel: () => void ended.push('web stream'),
    });
    await fails(put(web), 'BROKEN_ARCHIVE');
    assert.deepEqual(ended, ['generator', 'web stream']);
  });

  it('leaves a link to a directory that is there, and writes through it', async () => {
    mkdirSync(path('to'));
    mkdirSync(path('to/usr'));
    symlinkSync('usr', path('to/lib'));
    await put(archive(directory('lib/'), raw({ name: 'lib/file', data: 'x' })));
    assert.ok(lstatSync(path('to/lib')).isSymbolicLink());
    assert.equal(readFileSync(path('to/usr/file'), 'utf8'), 'x');
  });

  const REFUSED: readonly (readonly [string, Buffer, RegExp])[] = [
    ['an absolute name', archive(raw({ name: '/tmp/evil' })), /absolute/],
    ['a name that leads upwards', archive(raw({ name: 'a/../../evil' })), /upwards/],
    [
      'a file through its own link',
      archive(raw({ type: '2', name: 'l', link: '/tmp' }), raw({ name: 'l/evil' })),
      /through a symbolic link/,
    ],
    [
      'a file through its own link, whose directories came before as names only',
      archive(
        raw({ name: 'a/b/c' }),
        raw({ type: '2', name: 'a/b', link: '/tmp' }),
        raw({ name: 'a/b/d/e' }),
      ),
      /through a symbolic link/,
    ],
    [
      'a hard link to outside',
      archive(raw({ type: '1', name: 'h', link: '../file' })),
      /outside of the archive/,
    ],
    [
      'a hard link to what is not in it',
      archive(raw({ type: '1', name: 'h', link: 'x' })),
      /is not in the archive before/,
    ],
    ['a device node', archive(raw({ type: '3', name: 'null' })), /character device/],
    ['an unknown kind', archive(raw({ type: 'S', name: 's' })), /unknown kind/],
    [
      'a directory with content',
      archive(raw({ type: '5', name: 'd', data: 'x' })),
      /has content, but is not a file/,
    ],
    [
      'an attribute of the kernel',
      archive(Buffer.concat([pax([['SCHILY.xattr.trusted.overlay.opaque', 'y']]), raw({ name: 'a' })])),
      /attribute xattr\.trusted\.overlay\.opaque/,
    ],
    ['an owner that is no id', archive(pax([['uid', '4294967295']]), raw({ name: 'a' })), /not a valid id/],
    ['no end', Buffer.concat([TOP, raw({ name: 'a' })]), /truncated/],
    ['no bytes', Buffer.alloc(0), /truncated/],
    [
      'more behind its end',
      Buffer.concat([TOP, END, raw({ name: 'a' }), Buffer.alloc(2 ** 20)]),
      /has data after/,
    ],
    ['gzip', execFileSync('gzip', { input: archive() }), /compressed by gzip; decompress it first/],
    ['zstd', execFileSync('zstd', ['-q'], { input: archive() }), /compressed by zstd/],
  ];
  for (const [what, given, says] of REFUSED) {
    it(`is refused with ${what}, and nothing of it is outside`, async () => {
      mkdirSync(path('to'));
      await fails(put(Readable.from([given])), says);
      assert.deepEqual(readdirSync(path('')), ['to']);
    });
  }

  it('has limits of bytes and files', async () => {
    const files = Array.from({ length: 20 }, (_, i) => raw({ name: `f${i}`, data: 'x'.repeat(100) }));
    await fails(put(archive(...files), { ...OPTIONS, maxBytes: 1000 }), 'TOO_MANY_BYTES');
    await fails(put(archive(...files), { ...OPTIONS, maxEntries: 10 }), 'TOO_MANY_FILES');
  });

  it('that fails reports the error of its source, and destroys a source that goes on', async () => {
    const failing = new Readable({ read() {} });
    const failed = put(failing);
    failing.push(TOP);
    failing.destroy(new Error('the disk is on fire'));
    await fails(failed, /the archive cannot be read: the disk is on fire/);
    const endless = new Readable({
      read() {
        this.push(raw({ type: '3', name: 'null' }));
      },
    });
    await fails(put(endless), /character device/);
    assert.ok(endless.destroyed);
    const text = Readable.from(['text'], { encoding: 'utf8' });
    await fails(put(text), /not a stream of bytes/);
  });

  it('is translated for the tar of busybox', async () => {
    const testbed = withTar('');
    writeFileSync(path('bin/tar'), '#!/bin/sh\nexec busybox tar "$@"\n');
    const long = `${'d'.repeat(120)}/${'f'.repeat(200)}`;
    const packed = pack();
    packed.entry({ name: long, mode: 0o640 }, 'long');
    packed.entry({ name: 'größe' }, 'name');
    packed.finalize();
    await put(packed, OPTIONS, testbed);
    assert.equal(readFileSync(path(`to/${long}`), 'utf8'), 'long');
    assert.equal(readFileSync(path('to/größe'), 'utf8'), 'name');
    assert.equal(statSync(path(`to/${long}`)).mode & 0o777, 0o640);
    const sent = await buffer(await getArchive(testbed, bytes('to'), OPTIONS));
    const listed = execFileSync('tar', ['-t'], { input: sent, encoding: 'utf8' });
    assert.match(listed, new RegExp(`^${long}$`, 'm'));
  });

  it('ends with its time when the source sends nothing', async () => {
    const silent = new Readable({ read() {} });
    await fails(put(silent, { ...OPTIONS, timeout: 0.2 }), 'COPY_TIMEOUT');
    assert.ok(silent.destroyed);
    let isCancelled = false;
    const cancel = () => {
      isCancelled = true;
    };
    await fails(put(new ReadableStream({ cancel }), { ...OPTIONS, timeout: 0.2 }), 'COPY_TIMEOUT');
    assert.ok(isCancelled);
  });

  it('ends with a tar that fails, while the source still has more', async () => {
    const testbed = withTar('echo "tar: no space" >&2; exit 2');
    const more = new Readable({
      read() {
        this.push(raw({ name: 'a', data: Buffer.alloc(1 << 16) }));
      },
    });
    await fails(put(more, OPTIONS, testbed), /tar: no space$/);
  });
});

describe('an archive of a testbed', () => {
  const { path, bytes, host, withTar } = useFolder();
  const get = async (name: string, testbed: HostTestbed = host, options = OPTIONS) =>
    buffer(await getArchive(testbed, bytes(name), options));

  it('has the content of a directory, which tar-stream and tar can read', async () => {
    mkdirSync(path('from/below'), { recursive: true });
    writeFileSync(path('from/below/file'), 'text', { mode: 0o640 });
    symlinkSync('below', path('from/link'));
    const bytes = await get('from');
    const entries: Record<string, string> = {};
    const reading = extract();
    reading.end(bytes);
    for await (const entry of reading) {
      entries[entry.header.name] =
        `${entry.header.type} ${entry.header.uid} ${(await buffer(entry)).toString()}`;
    }
    const uid = process.geteuid?.();
    assert.deepEqual(entries, {
      './': `directory ${uid} `,
      'below/': `directory ${uid} `,
      'below/file': `file ${uid} text`,
      link: `symlink ${uid} `,
    });
    mkdirSync(path('to'));
    execFileSync('tar', ['-x', '-C', path('to')], { input: bytes });
    assert.deepEqual(describeTree(Buffer.from(path('to'))), describeTree(Buffer.from(path('from'))));
  });

  it('of a single file has that file, also behind a link', async () => {
    writeFileSync(path('file'), 'text');
    symlinkSync('file', path('link'));
    for (const name of ['file', 'link']) {
      const listed = execFileSync('tar', ['-t', '-v'], { input: await get(name), encoding: 'utf8' });
      assert.match(listed, new RegExp(`^-.* 4 .* ${name}\\n$`));
    }
  });

  it('of what is not there is an error, before there is a stream', async () => {
    await fails(getArchive(host, bytes('absent'), OPTIONS), /absent.*No such file or directory/);
  });

  for (const { what, bytes: made, says, maxBytes, maxEntries } of HOSTILE) {
    it(`ends with an error, not with its end, for ${what}`, async () => {
      mkdirSync(path('from'));
      mkdirSync(path('canary'));
      writeFileSync(path('archive'), made(path('canary')));
      const testbed = withTar(`exec /bin/cat '${path('archive')}'`);
      const options = {
        ...OPTIONS,
        ...(maxBytes === undefined ? {} : { maxBytes }),
        ...(maxEntries === undefined ? {} : { maxEntries }),
      };
      await fails(get('from', testbed, options), says);
    });
  }

  it('of a single file has no other', async () => {
    writeFileSync(path('file'), 'text');
    for (const entries of [
      [raw({ name: './other', data: 'x' })],
      [raw({ name: './file', data: 'x' }), raw({ name: './other', data: 'x' })],
      [raw({ type: '2', name: './file', link: '/etc/passwd' })],
    ]) {
      writeFileSync(path('archive'), Buffer.concat([...entries, END]));
      const testbed = withTar(`exec /bin/cat '${path('archive')}'`);
      await fails(get('file', testbed), /not the requested file/);
    }
  });

  it('that does not end costs no memory, and ends when it is destroyed', async () => {
    mkdirSync(path('from'));
    writeFileSync(path('start'), Buffer.concat([TOP, raw({ name: 'endless', size: 2 ** 35 })]));
    const testbed = withTar(`/bin/cat '${path('start')}'; exec /bin/cat /dev/zero`);
    const stream = await getArchive(testbed, bytes('from'), OPTIONS);
    let length = 0;
    const before = process.memoryUsage().rss;
    for await (const chunk of stream) {
      length += chunk.length;
      if (length > 2e8) break;
    }
    assert.ok(process.memoryUsage().rss - before < 50e6);
    assert.ok(stream.destroyed);
    await Promise.all(testbed.started.map(({ exited }) => exited));
  });

  it('that nothing reads waits, and ends with its time', async () => {
    mkdirSync(path('from'));
    writeFileSync(path('start'), Buffer.concat([TOP, raw({ name: 'endless', size: 2 ** 35 })]));
    const testbed = withTar(`/bin/cat '${path('start')}'; exec /bin/cat /dev/zero`);
    const stream = await getArchive(testbed, bytes('from'), { ...OPTIONS, timeout: 0.3 });
    await Promise.all(testbed.started.map(({ exited }) => exited));
    await fails(buffer(stream), 'COPY_TIMEOUT');
  });
});
