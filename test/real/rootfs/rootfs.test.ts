import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createWriteStream, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract, type Header, pack } from 'tar-stream';
import { mustRunHost } from '../../../src/host.ts';
import { silentLog } from '../../../src/log.ts';
import { readCaller } from '../../../src/namespaces/caller.ts';
import { Holder } from '../../../src/namespaces/holder.ts';
import { chooseIdMaps } from '../../../src/namespaces/idmap.ts';
import { findProgram } from '../../../src/processes/find.ts';
import { useBase } from '../../../src/rootfs/base.ts';
import { type CacheFolder, openCache } from '../../../src/rootfs/cache.ts';
import type { Base } from '../../../src/rootfs/known-base.ts';
import { listBases, prune } from '../../../src/rootfs/prune.ts';
import { verifyBase } from '../../../src/rootfs/verify.ts';
import { testTarball } from '../../support/rootfs.ts';
import { lack } from '../../support/skip.ts';

/** cap_net_raw permitted and effective, as setcap(8) stores it: struct vfs_cap_data of revision 2. */
const CAPABILITY = '0100000200200000000000000000000000000000';

const caller = readCaller();
const callers = [
  { who: 'a caller with all its ids', maps: chooseIdMaps(caller) },
  // Root never lacks ids.
  ...(caller.uid === 0
    ? []
    : [
        {
          who: 'a user without subordinate ids',
          maps: chooseIdMaps({ ...caller, subUsers: undefined, subGroups: undefined }),
        },
      ]),
];

for (const { who, maps } of callers)
  describe(`unpacking by the holder of ${who}`, function () {
    this.timeout(120_000);
    let folder: string;
    let cache: CacheFolder;
    let holder: Holder;
    const bases: Base[] = [];

    before(async () => {
      // Private, as a home may be: root of another user namespace cannot reach its content.
      folder = mkdtempSync(join(tmpdir(), 'vtu-rootfs-'));
      cache = openCache({ XDG_CACHE_HOME: folder });
      holder = await Holder.start({ idMap: maps, sources: [cache.bases], log: silentLog });
    });

    after(async () => {
      for (const base of bases) await base.release();
      await prune(cache, holder, silentLog, { maxAge: -1, maxSize: 0 });
      await holder.stop();
      rmSync(folder, { recursive: true });
    });

    const inside = (base: Base, script: string) =>
      mustRunHost(
        holder.enter(['sh', '-c', `cd "$1" && ${script}`, 'sh', holder.inside(base.path)]),
        silentLog,
        script,
      );

    async function use(tarball: string): Promise<Base> {
      const base = await useBase({ kind: 'tarball', path: tarball }, holder, cache, silentLog);
      bases.push(base);
      return base;
    }

    type Member = Partial<Omit<Header, 'name'>> & { readonly name: string; readonly text?: string };

    /** A tarball of members that the file system would not let an ordinary user make. */
    async function makeTarball(name: string, members: readonly Member[]): Promise<string> {
      const path = join(folder, name);
      const archive = pack();
      for (const { text, ...header } of members) {
        archive.entry({ mode: 0o644, uid: 0, gid: 0, mtime: new Date(1e12), ...header }, text ?? '');
      }
      archive.finalize();
      await pipeline(archive, createWriteStream(path, { mode: 0o600 }));
      return path;
    }

    const folders = (...names: string[]): Member[] =>
      names.map((name) => ({ name, type: 'directory', mode: 0o755 }));
    const root: readonly Member[] = [
      ...folders('./', './usr/', './usr/bin/'),
      { name: './bin', type: 'symlink', linkname: '/usr/bin' },
      { name: './usr/bin/dash', mode: 0o755, text: 'a shell' },
      { name: './usr/bin/sh', type: 'symlink', linkname: 'dash' },
    ];
    const odd: readonly Member[] = [
      ...root,
      { name: './usr/bin/su', mode: 0o4755, text: 'setuid' },
      { name: './usr/bin/same', type: 'link', linkname: './usr/bin/su', mode: 0o4755 },
      {
        name: './usr/bin/ping',
        mode: 0o755,
        text: 'capable',
        pax: { 'SCHILY.xattr.security.capability': Buffer.from(CAPABILITY, 'hex').toString('latin1') },
      },
      {
        name: './usr/bin/note',
        text: 'noted',
        pax: { 'SCHILY.xattr.user.note': 'said', 'SCHILY.xattr.user.overlay.opaque': 'y' },
      },
      { name: './home/', type: 'directory', mode: 0o700, uid: 1000, gid: 1000 },
      { name: './home/file', mode: 0o600, uid: 1000, gid: 100, text: 'mine' },
      { name: './tmp/', type: 'directory', mode: 0o1777 },
      ...folders('./dev/', './dev/sub/', './srv/'),
      { name: './dev/null', type: 'character-device', devmajor: 1, devminor: 3 },
      { name: './srv/node', type: 'character-device', devmajor: 1, devminor: 3 },
      { name: './srv/disk', type: 'block-device', devmajor: 8, devminor: 0 },
      { name: './srv/fifo', type: 'fifo' },
      { name: '/srv/absolute', text: 'here' },
      { name: `./${'d'.repeat(90)}/${'n'.repeat(200)}`, text: 'long' },
    ];

    /** The pax records of a file, as another tar sees them from inside. */
    async function paxOf(base: Base, path: string): Promise<Record<string, string>> {
      const [file, ...args] = holder.enter([
        ...(['tar', '-c', '--format=pax', '--xattrs', '--xattrs-include=*'] as const),
        ...['-C', holder.inside(base.path), path],
      ]);
      const records: Record<string, string> = {};
      const reading = extract();
      reading.on('entry', (header, stream, next) => {
        Object.assign(records, header.pax);
        stream.resume();
        next();
      });
      await pipeline(Readable.from([execFileSync(file, args)]), reading);
      return records;
    }

    it('keeps owners, modes, hard links, attributes and capabilities, and leaves device nodes out', async () => {
      const base = await use(await makeTarball('odd.tar', odd));
      const { single } = holder.idMap;
      const stat = (path: string) =>
        inside(base, `stat -c '%a %u:%g %h' ${path}`).then((text) => text.trim());
      assert.equal(await stat('usr/bin/su'), '4755 0:0 2');
      assert.equal(await stat('usr/bin/same'), '4755 0:0 2');
      assert.equal(await stat('tmp'), '1777 0:0 2');
      assert.equal(await stat('home'), single ? '700 0:0 2' : '700 1000:1000 2');
      assert.equal(await stat('home/file'), single ? '600 0:0 1' : '600 1000:100 1');
      assert.equal(await inside(base, 'cat home/file srv/absolute d*/n*'), 'mineherelong');
      assert.equal((await inside(base, 'ls dev; ls srv')).trim(), 'absolute\nfifo');
      const { 'SCHILY.xattr.security.capability': capability = '' } = await paxOf(base, './usr/bin/ping');
      assert.equal(Buffer.from(capability, 'latin1').toString('hex'), CAPABILITY);
      const note = await paxOf(base, './usr/bin/note');
      assert.equal(note['SCHILY.xattr.user.note'], 'said');
      // It would be a command to the overlay, not an attribute of the file.
      assert.equal(note['SCHILY.xattr.user.overlay.opaque'], undefined);
      assert.deepEqual(listBases(cache)[0]?.record.skipped, ['./srv/node', './srv/disk']);
    });

    it('lets nothing be written outside the tree', async () => {
      for (const [name, members] of [
        ['up.tar', [{ name: '../outside', text: 'x' }]],
        ['deep.tar', [{ name: './usr/../../outside', text: 'x' }]],
        [
          'link.tar',
          [
            { name: './way', type: 'symlink', linkname: folder },
            { name: './way/outside', text: 'x' },
          ],
        ],
        ['hard.tar', [{ name: './way', type: 'link', linkname: `${folder}/link.tar` }]],
      ] as const) {
        await assert.rejects(
          use(await makeTarball(name, [...root, ...members])),
          { name: 'TestbedError' },
          name,
        );
      }
      assert(!readdirSync(folder).includes('outside'));
      assert(!readdirSync(cache.bases).some((entry) => entry.includes('outside') || entry.startsWith('.')));
    });

    for (const [compression, program] of [
      ['gz', 'gzip'],
      ['bz2', 'bzip2'],
      ['xz', 'xz'],
      ['zst', 'zstd'],
    ] as const) {
      it(`knows ${program} by content, whatever its name is`, async function () {
        if (findProgram(program) === undefined) lack(this, `${program} is missing`);
        // Each its own content, or there would be nothing to unpack.
        const plain = await makeTarball('plain.tar', [...root, { name: './text', text: compression }]);
        const path = join(folder, `of-${compression}.tar`);
        writeFileSync(path, execFileSync(program, ['-c', plain]));
        assert.equal(await inside(await use(path), 'cat text'), compression);
      });
    }

    it('finds whatever differs from the tarball, and nothing else', async () => {
      const tarball = await makeTarball('verify.tar', [...odd, { name: './of-verify', text: 'as it was' }]);
      const base = await use(tarball);
      const known = () => {
        const found = listBases(cache).find(({ folder }) => base.path.startsWith(`${folder}/`));
        assert(found !== undefined);
        return found;
      };
      const verify = () => verifyBase(known(), holder, cache, silentLog);
      assert.deepEqual(await verify(), { kind: 'same' });
      await inside(base, 'echo changed >of-verify; chmod 755 tmp; rm usr/bin/note');
      const verdict = await verify();
      assert(verdict.kind === 'different');
      for (const name of ['./of-verify', './tmp', './usr/bin/note']) {
        assert(
          verdict.differences.some((line) => line.includes(name)),
          name,
        );
      }
      writeFileSync(tarball, 'another');
      assert.equal((await verify()).kind, 'unknown');
      rmSync(tarball);
      assert.equal((await verify()).kind, 'unknown');
    });

    it('unpacks a real Debian, and removes it again', async () => {
      const base = await use(testTarball());
      assert.match(await inside(base, 'cat etc/os-release'), /Debian/);
      const known = listBases(cache).find(({ folder }) => base.path.startsWith(`${folder}/`));
      assert(known !== undefined);
      assert.deepEqual(await verifyBase(known, holder, cache, silentLog), { kind: 'same' });
      const limits = { maxAge: -1, maxSize: 0 };
      await prune(cache, holder, silentLog, limits);
      assert(existsSync(join(known.folder, 'base.json')));
      await base.release();
      assert((await prune(cache, holder, silentLog, limits)).some(({ key }) => key === known.key));
      assert(!existsSync(known.folder));
    });
  });
