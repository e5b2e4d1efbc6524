/** Files and archives between a program and a real testbed. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { extract, pack } from 'tar-stream';
import { closeAll, Testbed, UsageError } from '../../../src/index.ts';
import { testTarball } from '../../support/rootfs.ts';
import { itWithUsers, ONLY_ROOT } from '../../support/skip.ts';
import { archive, directory, raw } from '../../unit/archive/archives.ts';

describe('archives and files of the library', function () {
  this.timeout(120_000);
  let testbed: Testbed;
  before(async () => {
    testbed = await Testbed.open({ rootfs: testTarball() });
  });
  after(() => closeAll());

  const shows = async (command: string): Promise<string> =>
    (await testbed.run(command, { check: true })).stdout;

  it('are written from texts and bytes, in directories that are made, and replace what is there', async () => {
    await testbed.run('ln -s /etc/passwd /srv/link; echo long old text >/srv/old; chmod 600 /srv/old');
    await testbed.write({
      '/etc/x.conf': 'text\n',
      '/srv/made/for/größe': new Uint8Array([0, 255, 10]),
      [`/srv/${'n'.repeat(200)}`]: 'long name',
      '/srv/link': 'no link',
      '/srv/old': 'new',
      '/lib/through-a-link': { content: '', mode: 0 },
      '/srv/run': { content: '#!/bin/sh\necho "runs as $(id -u)"\n', mode: 0o4755 },
    });
    assert.equal(
      await shows(
        'cd /srv; cat /etc/x.conf; od -An -tx1 made/for/gr*; cat n* link old; readlink /lib; ./run; stat -c "%a %u:%g %n" made made/for/gr* link old run /usr/lib/through-a-link',
      ),
      `text
 00 ff 0a
long nameno linknewusr/lib
runs as 0
755 0:0 made
644 0:0 made/for/größe
644 0:0 link
644 0:0 old
4755 0:0 run
0 0:0 /usr/lib/through-a-link
`,
    );
    const age = Number(await shows('echo $(($(date +%s) - $(stat -c %Y /etc/x.conf)))'));
    assert.ok(age >= 0 && age < 60, String(age));
  });

  itWithUsers('are written for a user of the testbed, by name or number', async () => {
    await testbed.write({
      '/srv/of-name': { content: 'x', user: 'www-data' },
      '/srv/of-number': { content: 'x', user: '33', mode: 0o600 },
    });
    assert.equal(await shows('stat -c %U:%G /srv/of-n*'), 'www-data:www-data\nwww-data:www-data\n');
    await assert.rejects(testbed.write({ '/srv/x': { content: 'x', user: 'stranger' } }), (error) => {
      assert.ok(error instanceof UsageError);
      assert.equal(error.code, 'NO_USER');
      return true;
    });
  });

  it('are not written for a wrong call', async () => {
    for (const [files, words] of [
      [{ relative: 'x' }, /relative is not an absolute path of a file; write it like/],
      [{ '/': 'x' }, /\/ is not an absolute path of a file/],
      [{ '/srv/': 'x' }, /not an absolute path of a file/],
      [{ '/srv/../x': 'x' }, /not an absolute path of a file/],
      [{ '/srv/a': 'x', '/srv//a': 'x' }, /\/?srv\/a is written twice/],
      [{ '/srv/a': 5 }, /content of \/srv\/a is 5; give a text/],
      [{ '/srv/a': {} }, /content of \/srv\/a is undefined/],
      [{ '/srv/a': { content: 'x', mode: 0o10000 } }, /mode of \/srv\/a is 4096/],
      [
        { '/srv/a': { content: 'x', mod: 1 } },
        /has no option mod \(did you mean mode\); it has content, mode, user/,
      ],
      [{ '/srv/a': { content: 'x', user: 0 } }, /user of \/srv\/a is 0/],
      [['/srv/a'], /files is/],
      [null, /files is null/],
    ] as const) {
      await assert.rejects(Reflect.apply(testbed.write, testbed, [files]), (error) => {
        assert.ok(error instanceof Error);
        assert.equal(error.name, 'UsageError', error.message);
        assert.match(error.message, words);
        return true;
      });
    }
    await testbed.write({});
    await assert.rejects(Reflect.apply(testbed.putArchive, testbed, ['text', '/srv']), UsageError);
    await assert.rejects(testbed.putArchive(archive(), 'relative'), UsageError);
    await assert.rejects(testbed.getArchive('relative'), UsageError);
  });

  it('that cannot be written are reported in the words of the tar', async () => {
    await assert.rejects(testbed.write({ '/proc/x/y': 'x' }), {
      name: 'CopyError',
      message: /putting an archive into \/ failed: tar: proc\/x.*/,
    });
  });

  it('go from tar-stream to the testbed and back', async () => {
    const packed = pack();
    packed.entry({ name: 'a/b/c', mode: 0o640, uid: 5, gid: 6, mtime: new Date(1.6e12) }, 'hello');
    packed.entry({ name: 'link', type: 'symlink', linkname: 'a' });
    packed.finalize();
    await testbed.putArchive(packed, '/srv/put');
    const ids = ONLY_ROOT ? '0:0' : '5:6';
    assert.equal(await shows('stat -c "%a %u:%g %Y" /srv/put/a/b/c'), `640 ${ids} 1600000000\n`);
    const found: string[] = [];
    const reading = extract();
    const fed = pipeline(await testbed.getArchive('/srv/put'), reading);
    for await (const entry of reading) {
      const { name, type, uid, gid } = entry.header;
      found.push(`${type} ${name} ${uid}:${gid} ${await buffer(entry)}`);
    }
    await fed;
    assert.deepEqual(found.sort(), [
      'directory ./ 0:0 ',
      'directory a/ 0:0 ',
      'directory a/b/ 0:0 ',
      `file a/b/c ${ids} hello`,
      'symlink link 0:0 ',
    ]);
  });

  it('go from one testbed into another as they are', async () => {
    const other = await Testbed.open({ rootfs: testTarball() });
    try {
      const sum = "cd /etc && find . ! -type d -printf '%p %l %m %U:%G %s %T@\\n' | sort";
      await other.putArchive(await testbed.getArchive('/etc'), '/srv/etc');
      const copied = await other.run(sum.replace('/etc', '/srv/etc'), { check: true });
      assert.equal(copied.stdout, await shows(sum));
    } finally {
      await other.close();
    }
  });

  it('do not pass through memory', async () => {
    const size = 300_000_000;
    await testbed.run(`head -c ${size} /dev/urandom >/srv/large; sha256sum /srv/large >/srv/sum`);
    const before = process.memoryUsage().rss;
    let peak = 0;
    const stream = await testbed.getArchive('/srv/large');
    const watched = async function* () {
      for await (const chunk of stream) {
        peak = Math.max(peak, process.memoryUsage().rss);
        yield chunk;
      }
    };
    await testbed.putArchive(watched(), '/srv/there');
    assert.equal(await shows('cmp /srv/large /srv/there/large && echo same'), 'same\n');
    assert.ok(peak - before < 100e6, `${peak - before} bytes more`);
    await testbed.run('rm -r /srv/large /srv/there');
  });

  it('have the limits that the testbed was opened with', async () => {
    const limited = await Testbed.open({ rootfs: testTarball(), maxCopyBytes: 100_000, copyTimeout: 2 });
    try {
      await limited.run('head -c 200000 /dev/zero >/srv/zeros');
      const reading = limited.getArchive('/srv/zeros').then(buffer);
      await assert.rejects(reading, { name: 'CopyError', code: 'TOO_MANY_BYTES' });
      const large = archive(raw({ name: 'a', data: Buffer.alloc(200_000) }));
      await assert.rejects(limited.putArchive(large, '/srv'), { name: 'CopyError', code: 'TOO_MANY_BYTES' });
      const silent = new Readable({ read() {} });
      await assert.rejects(limited.putArchive(silent, '/srv'), { name: 'CopyTimeoutError' });
      assert.equal((await limited.run('true')).status, 0);
    } finally {
      await limited.close();
    }
  });

  it('of a testbed that swaps links meanwhile have nothing of another place', async () => {
    // Each round has a directory with a file, or a link to /etc in its place.
    await testbed.run(
      'mkdir -p /srv/race/a /srv/race/real; echo mine >/srv/race/real/hostname; nohup sh -c "while :; do rm -rf /srv/race/a; ln -s /etc /srv/race/a; rm /srv/race/a; cp -r /srv/race/real /srv/race/a; done" >/dev/null 2>&1 &',
    );
    for (let round = 0; round < 20; round += 1) {
      const bytes = await testbed
        .getArchive('/srv/race')
        .then(buffer)
        .catch((error: unknown) => {
          // tar reports what has vanished while it read.
          assert.ok(error instanceof Error && error.name === 'CopyError', String(error));
          return archive();
        });
      const text = execFileSync('tar', ['-x', '-O', '--wildcards', '--', '*hostname'], {
        input: Buffer.concat([
          bytes.subarray(0, -1024),
          raw({ name: 'x/hostname', data: 'end\n' }),
          Buffer.alloc(1024),
        ]),
        encoding: 'utf8',
      });
      assert.match(text, /^(mine\n|)*end\n$/);
    }
    await testbed.revert();
  });

  it('are destroyed when the copy does not begin', async () => {
    const closed = await Testbed.open({ rootfs: testTarball() });
    await closed.close();
    const silent = new Readable({ read() {} });
    await assert.rejects(closed.putArchive(silent, '/srv'), { code: 'CLOSED' });
    assert.ok(silent.destroyed);
    let isCancelled = false;
    const cancel = () => {
      isCancelled = true;
    };
    await assert.rejects(closed.putArchive(new ReadableStream({ cancel }), '/srv'), { code: 'CLOSED' });
    assert.ok(isCancelled);
  });

  it('that a hostile tar does not take are reported in its words', async () => {
    const text =
      '#!/bin/sh\ncase "$*" in *"-T /dev/null"*) exit 0 ;; esac\ncat >/srv/got\necho owned >&2; exit 1\n';
    await testbed.write({ '/usr/local/bin/tar': { content: text, mode: 0o755 } });
    await assert.rejects(testbed.putArchive(archive(directory('a')), '/srv'), {
      name: 'CopyError',
      message: /failed: owned$/,
    });
    await testbed.revert();
  });
});
