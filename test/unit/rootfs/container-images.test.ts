/** Images of containers become one tarball; the layers are made byte by byte. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TarEntry } from '../../../src/archive/tar-entry.ts';
import { TarReader } from '../../../src/archive/tar-reader.ts';
import { UsageError } from '../../../src/errors.ts';
import { silentLog } from '../../../src/log.ts';
import { findProgram } from '../../../src/processes/find.ts';
import { type CacheFolder, openCache } from '../../../src/rootfs/cache.ts';
import { importImage } from '../../../src/rootfs/images.ts';
import { importContainerImage } from '../../../src/rootfs/oci/container-image.ts';
import { hostArchitecture } from '../../../src/rootfs/release.ts';
import {
  goArchitecture,
  type Json,
  type Made,
  sha256,
  writeIndex,
  writeLayout,
} from '../../support/container-image.ts';
import { archive, directory, END, pax, raw, TOP } from '../archive/archives.ts';

const SHELL = raw({ name: 'bin/sh', mode: 0o755, data: 'shell' });
const whiteout = (name: string): Buffer => raw({ name });

describe('a container image', () => {
  let folder: string;
  let layout: string;
  let cache: CacheFolder;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vtu-images-'));
    layout = join(folder, 'layout');
    cache = openCache({ XDG_CACHE_HOME: folder });
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const name = `c-${hostArchitecture()}`;
  const take = (path = layout): Promise<string> => importImage(cache, path, name, silentLog);

  /** A line for each entry: kind, path, and the content of a file or the target of a link. */
  function listing(path: string): string[] {
    const bytes = path.endsWith('.zst')
      ? execFileSync('zstd', ['-d', '-c', path], { maxBuffer: 1e9 })
      : readFileSync(path);
    const found: (TarEntry & { text: string })[] = [];
    const reader = new TarReader({
      entry: (entry) => void found.push({ ...entry, text: '' }),
      data: (data) => {
        const last = found.at(-1);
        if (last !== undefined) last.text += data.toString('latin1');
      },
    });
    reader.push(bytes);
    reader.finish();
    return found.map(({ kind, path, text, link }) =>
      [kind, path, text + link].filter((word) => word !== '').join(' '),
    );
  }

  const flattened = async (...layers: readonly Buffer[]): Promise<string[]> => {
    writeLayout(layout, { layers });
    return listing(await take());
  };

  /** What every one of these images has. */
  const USUAL = ['directory ./', 'directory ./bin/', 'file ./bin/sh shell'];
  const others = (lines: readonly string[]): string[] => lines.filter((line) => !USUAL.includes(line));

  it('is flattened: upper layers replace, whiteouts remove, directories are merged', async () => {
    const lines = await flattened(
      archive(
        SHELL,
        ...[
          raw({ name: 'a/kept', data: '1' }),
          raw({ name: 'a/replaced', data: '1' }),
          raw({ name: 'a/gone', data: '1' }),
        ],
        ...[raw({ name: 'tree/below/deep', data: '1' }), raw({ name: 'opaque/old', data: '1' })],
        ...[raw({ name: 'was-file', data: '1' }), raw({ name: 'was-directory/x', data: '1' })],
      ),
      archive(
        ...[raw({ name: 'a/replaced', data: '2' }), whiteout('a/.wh.gone'), whiteout('.wh.tree')],
        // The order in a layer does not matter.
        ...[raw({ name: 'opaque/new', data: '2' }), whiteout('opaque/.wh..wh..opq')],
        ...[raw({ name: 'was-file/x', data: '2' }), raw({ name: 'was-directory', data: '2' })],
        whiteout('not/there/.wh.file'),
      ),
    );
    assert.deepEqual(others(lines), [
      ...['directory ./a/', 'directory ./opaque/', 'directory ./was-file/'],
      ...['file ./a/kept 1', 'file ./a/replaced 2', 'file ./opaque/new 2', 'file ./was-file/x 2'],
      'file ./was-directory 2',
    ]);
  });

  it('keeps what a layer has beside its own whiteout of the same name', async () => {
    const lines = await flattened(
      archive(SHELL, raw({ name: 'd/old', data: '1' }), raw({ name: 'f', data: '1' })),
      archive(
        raw({ name: 'd/new', data: '2' }),
        raw({ name: 'f', data: '2' }),
        whiteout('.wh.d'),
        whiteout('.wh.f'),
      ),
    );
    assert.deepEqual(others(lines), ['directory ./d/', 'file ./d/new 2', 'file ./f 2']);
  });

  it('keeps the content of a hard link whose first name was replaced or removed', async () => {
    const lines = await flattened(
      archive(
        SHELL,
        ...[raw({ name: 'a', data: 'one' }), raw({ type: '1', name: 'b', link: 'a' })],
        ...[
          raw({ name: 'c', data: 'two' }),
          raw({ type: '1', name: 'd', link: 'c' }),
          raw({ type: '1', name: 'e', link: './c' }),
        ],
      ),
      archive(raw({ name: 'a', data: 'new' }), whiteout('.wh.c')),
      archive(raw({ type: '1', name: 'f', link: 'b' })),
    );
    assert.deepEqual(others(lines), [
      ...['file ./b one', 'file ./d two', 'file ./a new'],
      ...['hard link ./e ./d', 'hard link ./f ./b'],
    ]);
  });

  it('puts a directory in place of a link below it, as an overlay does', async () => {
    const lines = await flattened(
      archive(
        SHELL,
        raw({ type: '2', name: 'lib', link: 'usr/lib' }),
        raw({ name: 'usr/lib/old', data: '1' }),
      ),
      archive(raw({ name: 'lib/new', data: '2' })),
    );
    assert.deepEqual(others(lines).slice(0, 1), ['directory ./lib/']);
    assert.ok(lines.includes('file ./lib/new 2'));
  });

  it('keeps modes, owners, times, attributes, sparse files, devices and names of any bytes', async () => {
    const capability = Buffer.from('0100000280000000000000000000000000000000', 'hex');
    const sparse = [
      pax([
        ...([
          ['GNU.sparse.major', '1'],
          ['GNU.sparse.minor', '0'],
          ['GNU.sparse.name', 'sparse'],
        ] as const),
        ['GNU.sparse.realsize', '4096'],
      ]),
      raw({
        name: 'x',
        data: Buffer.concat([Buffer.from('1\n4095\n1\n'.padEnd(512, '\0')), Buffer.from('s')]),
      }),
    ];
    writeLayout(layout, {
      layers: [
        archive(
          SHELL,
          pax([
            ...([
              ['uid', '70000'],
              ['gid', '8'],
              ['mtime', '1500000000.123456789'],
            ] as const),
            ['SCHILY.xattr.security.capability', capability],
            ['SCHILY.xattr.user.note', Buffer.from([0, 0xff, 0x0a])],
            ...([
              ['SCHILY.xattr.user.overlay.opaque', 'y'],
              ['SCHILY.xattr.security.selinux', 'l'],
            ] as const),
          ]),
          raw({ name: Buffer.from([0xe9]), mode: 0o6751, data: 'odd' }),
          ...sparse,
          raw({ type: '6', name: 'fifo', mode: 0o600 }),
          raw({ type: '5', name: 'dir/', mode: 0o1777, mtime: 5 }),
        ),
      ],
    });
    const path = await take();
    const found: TarEntry[] = [];
    const reader = new TarReader({ entry: (entry) => void found.push(entry), data: () => {} });
    reader.push(path.endsWith('.zst') ? execFileSync('zstd', ['-d', '-c', path]) : readFileSync(path));
    reader.finish();
    const at = (path: string) => found.find((entry) => entry.path === path);
    const odd = at('./\xe9');
    assert.deepEqual(
      [odd?.mode, odd?.uid, odd?.gid, odd?.mtime],
      [0o6751, 70_000, 8, '1500000000.123456789'],
    );
    assert.deepEqual(
      [...(odd?.attributes ?? [])],
      [
        ['SCHILY.xattr.security.capability', capability.toString('latin1')],
        ['SCHILY.xattr.user.note', '\0\xff\n'],
      ],
    );
    assert.equal(at('./sparse')?.sparse?.size, 4096);
    assert.deepEqual([at('./fifo')?.kind, at('./dir/')?.mode, at('./dir/')?.mtime], ['fifo', 0o1777, '5']);
  });

  it('keeps its environment in /etc/environment, behind what is there', async () => {
    const env = [
      'PATH=/opt/bin:/bin',
      'EMPTY=',
      'QUOTED="a b"',
      'HOME=/root',
      'TWO=a\nb',
      'no equals sign',
      'GROESSE=größe',
    ];
    writeLayout(layout, {
      layers: [
        archive(SHELL, raw({ name: 'etc/environment', data: 'OLD=1' })),
        archive(raw({ name: './etc/environment', data: 'PATH=/old' })),
      ],
      env,
    });
    const lines = listing(await take());
    const text = Buffer.from('PATH=/old\nPATH=/opt/bin:/bin\nEMPTY=\nQUOTED=""a b""\nGROESSE=größe\n');
    assert.deepEqual(others(lines), [
      'directory ./etc/',
      `file ./etc/environment ${text.toString('latin1')}`,
    ]);
  });

  it('has the layers in any compression, without an end, and with absolute names', async () => {
    const layers = [Buffer.concat([TOP, raw({ name: '/bin/sh', mode: 0o755, data: 'shell' })])];
    for (const compress of [
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => execFileSync('zstd', ['-q'], { input: bytes }),
      (bytes: Buffer) => execFileSync('xz', [], { input: bytes }),
      (bytes: Buffer) => execFileSync('bzip2', [], { input: bytes }),
    ]) {
      writeLayout(layout, { layers, compress });
      assert.deepEqual(listing(await take()), USUAL);
    }
  });

  it('is found as a directory, an archive of it, and one that is compressed', async () => {
    writeLayout(layout, { layers: [archive(SHELL)] });
    for (const [file, ...options] of [
      ['plain.tar', '-C', layout, '.'],
      ['named.tar', '-C', layout, 'blobs', 'index.json', 'oci-layout'],
      ['packed.tar.gz', '-z', '-C', layout, '.'],
      ['packed.tar.zst', '--zstd', '-C', layout, '.'],
    ] as const) {
      execFileSync('tar', ['-c', '-f', join(folder, file), ...options]);
      assert.deepEqual(listing(await take(join(folder, file))), USUAL, file);
    }
    assert.deepEqual(
      readdirSync(cache.images).filter((file) => file.startsWith('.')),
      [],
    );
  });

  it('is read to its end by a decompressor that ends later than its output', async () => {
    writeLayout(layout, { layers: [archive(SHELL)] });
    const file = join(folder, 'packed.tar.zst');
    execFileSync('tar', ['-c', '-f', file, '--zstd', '-C', layout, '.']);
    const programs = join(folder, 'programs');
    mkdirSync(programs);
    const slow = `#!/bin/sh\n${findProgram('zstd')} "$@" || exit\nexec >&-\nsleep 0.2\n`;
    writeFileSync(join(programs, 'zstd'), slow, { mode: 0o755 });
    const { PATH } = process.env;
    process.env.PATH = `${programs}:${PATH}`;
    try {
      assert.deepEqual(listing(await take(file)), USUAL);
    } finally {
      process.env.PATH = PATH;
    }
  });

  /** docker save as of old versions: no digests but those of the content. */
  function dockerArchive(
    layers: readonly Buffer[],
    change: (manifest: Json, config: Json) => void = () => {},
  ): string {
    const docker = join(folder, 'docker');
    mkdirSync(join(docker, 'one'), { recursive: true });
    const config: Json = {
      ...{ architecture: goArchitecture(), os: 'linux' },
      rootfs: { diff_ids: layers.map((layer) => `sha256:${sha256(layer)}`) },
    };
    const manifest: Json = { RepoTags: ['debian:x'], Layers: layers.map((_, i) => `one/${i}.tar`) };
    change(manifest, config);
    const text = Buffer.from(JSON.stringify(config));
    writeFileSync(join(docker, `${sha256(text)}.json`), text);
    manifest.Config ??= `${sha256(text)}.json`;
    for (const [i, layer] of layers.entries()) writeFileSync(join(docker, `one/${i}.tar`), layer);
    writeFileSync(join(docker, 'manifest.json'), JSON.stringify([manifest]));
    const path = join(folder, 'docker.tar');
    execFileSync('tar', ['-c', '-f', path, '-C', docker, `${sha256(text)}.json`, 'one', 'manifest.json']);
    return path;
  }

  it('of old versions of docker is verified by the digests of the content', async () => {
    const path = await take(dockerArchive([archive(SHELL)]));
    assert.deepEqual(listing(path), USUAL);
    rmSync(path);
    const wrong = dockerArchive([archive(SHELL)], (_, config) => {
      config.rootfs = { diff_ids: [`sha256:${'0'.repeat(64)}`] };
    });
    await refused(take(wrong), 'WRONG_DIGEST', /layer 1 .* has the digest sha256:/);
    const outside = dockerArchive([archive(SHELL)], (manifest) => {
      manifest.Layers = ['../../etc/passwd'];
    });
    await refused(take(outside), 'OUTSIDE', /outside of the image/);
  });

  async function refused(taken: Promise<unknown>, code: string, words: RegExp): Promise<void> {
    await assert.rejects(taken, (error) => {
      assert.ok(error instanceof UsageError, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, words);
      assert.doesNotMatch(error.message, /\p{Cc}/u);
      assert.ok(error.remedy);
      return true;
    });
    assert.deepEqual(readdirSync(cache.images), []);
  }

  describe('of several ones', () => {
    const two = (first: Made, second: Made): Json[] => [
      writeLayout(layout, first),
      writeLayout(layout, second),
    ];
    const layers = [archive(SHELL)];

    it('is the one for this machine, also in an index in the index', async () => {
      const other = goArchitecture() === 'riscv64' ? 's390x' : 'riscv64';
      const [a, b] = two({ layers: [archive(raw({ name: 'x' }))], architecture: other }, { layers });
      const platform = (architecture: string) => ({ platform: { os: 'linux', architecture } });
      const attestation = { ...a, platform: { os: 'unknown', architecture: 'unknown' } };
      const inner = Buffer.from(
        JSON.stringify({
          manifests: [attestation, { ...a, ...platform(other) }, { ...b, ...platform(goArchitecture()) }],
        }),
      );
      writeFileSync(join(layout, 'blobs/sha256', sha256(inner)), inner);
      const mediaType = 'application/vnd.oci.image.index.v1+json';
      writeIndex(layout, [{ mediaType, digest: `sha256:${sha256(inner)}`, size: inner.length }]);
      assert.deepEqual(listing(await take()), USUAL);
    });

    it('is an error for another machine, which names the option', async () => {
      writeLayout(layout, { layers, architecture: 'riscv64' });
      await refused(take(), 'WRONG_ARCHITECTURE', /is for linux\/riscv64, not for .*; give --arch=riscv64/);
      writeLayout(layout, {
        layers,
        architecture: 'arm',
        change: (what) => (what === 'config' ? { variant: 'v6' } : {}),
      });
      await refused(take(), 'WRONG_ARCHITECTURE', /linux\/arm\/v6.*--arch=armel/);
    });

    it('is chosen by its tag behind the path', async () => {
      const [a, b] = two({ layers: [archive(SHELL, raw({ name: 'a' }))], tag: 'a' }, { layers, tag: 'b:c' });
      writeIndex(layout, [a ?? {}, b ?? {}]);
      await refused(
        take(),
        'SEVERAL_IMAGES',
        /several images: a, b:c; name one of them after the path, as FILE:TAG/,
      );
      await refused(take(`${layout}:d`), 'NO_TAG', /no image d; there are a, b:c/);
      assert.deepEqual(others(listing(await take(`${layout}:a`))), ['file ./a']);
      assert.deepEqual(listing(await take(`${layout}:b:c`)), USUAL);
    });
  });

  const ENTRIES: readonly (readonly [string, readonly Buffer[], RegExp])[] = [
    [
      'a name that leads upwards',
      [raw({ name: '../evil' })],
      /\.\.\/evil is refused: its name has a part .., which leads upwards/,
    ],
    [
      'a file through a link of the same layer',
      [raw({ type: '2', name: 'l', link: '/tmp' }), raw({ name: 'l/evil' })],
      /l\/evil is refused: it would be written through a symbolic link/,
    ],
    [
      'a hard link to outside',
      [raw({ type: '1', name: 'h', link: '../../etc/shadow' })],
      /outside of the image/,
    ],
    [
      'a hard link to nothing',
      [raw({ type: '1', name: 'h', link: 'etc/shadow' })],
      /is not in the layers before it/,
    ],
    [
      'a hard link to a directory',
      [directory('d'), raw({ type: '1', name: 'h', link: 'd' })],
      /hard link to the directory/,
    ],
    ['a whiteout of ..', [whiteout('a/.wh...')], /whiteout without a name/],
    ['a whiteout of .', [whiteout('.wh..')], /whiteout without a name/],
    ['a whiteout of nothing', [whiteout('.wh.')], /whiteout without a name/],
    ['a whiteout with a path', [raw({ name: 'a/.wh.b/c' })], /its directory is a whiteout/],
    ['a whiteout that leads upwards', [whiteout('../.wh.etc')], /leads upwards/],
    ['a whiteout of an overlay', [raw({ type: '3', name: 'c' })], /whiteout of an overlay/],
    ['a kind that is unknown', [raw({ type: 'S', name: 's' })], /unknown kind/],
    [
      'a link with content',
      [raw({ type: '2', name: 'l', link: 'x', data: 'x' })],
      /has content, but is not a file/,
    ],
    ['a top directory that is a file', [raw({ name: './' + '.', data: 'x' })], /name of the top directory/],
    ['a name that controls a terminal', [raw({ type: 'S', name: '\x1b[2J' })], /\\033\[2J is refused/],
  ];
  for (const [what, entries, words] of ENTRIES) {
    it(`is refused with ${what}`, async () => {
      writeLayout(layout, { layers: [archive(SHELL), archive(...entries)] });
      await refused(take(), 'ENTRY_REFUSED', new RegExp(`layer 2 |${words.source}`));
      await refused(take(), 'ENTRY_REFUSED', words);
    });
  }

  const layers = [archive(SHELL)];
  const zeros = `sha256:${'0'.repeat(64)}`;
  const BROKEN: readonly (readonly [string, Made, string, RegExp])[] = [
    [
      'a layer of another digest',
      { layers, change: (what) => (what === 'config' ? { rootfs: { diff_ids: [zeros] } } : {}) },
      'WRONG_DIGEST',
      /layer 1 \(sha256:000000000000\) has the digest/,
    ],
    [
      'fewer digests than layers',
      { layers, change: (what) => (what === 'config' ? { rootfs: { diff_ids: [] } } : {}) },
      'BAD_IMAGE',
      /1 layers, but the digests of 0/,
    ],
    [
      'a manifest of another size',
      {
        layers,
        change: (what, json) => (what === 'index' ? { manifests: [{ ...first(json), size: 1 }] } : {}),
      },
      'WRONG_SIZE',
      /manifest of the image has \d+ bytes instead of 1/,
    ],
    [
      'a digest that is a path',
      {
        layers,
        change: (what, json) =>
          what === 'index' ? { manifests: [{ ...first(json), digest: 'sha256:../../x' }] } : {},
      },
      'BAD_IMAGE',
      /no digest of a known kind/,
    ],
    [
      'no manifest',
      { layers, change: (what) => (what === 'index' ? { manifests: [] } : {}) },
      'BAD_IMAGE',
      /has no manifest/,
    ],
    [
      'a configuration without an architecture',
      { layers, change: (what) => (what === 'config' ? { architecture: undefined } : {}) },
      'BAD_IMAGE',
      /no architecture/,
    ],
    [
      'a layer of another kind',
      {
        layers,
        change: (what) =>
          what === 'manifest' ? { layers: [{ mediaType: 'text/html', digest: zeros }] } : {},
      },
      'UNKNOWN_LAYER',
      /layer of the kind text\/html/,
    ],
    [
      'a layer that is not there',
      {
        layers,
        change: (what) => (what === 'manifest' ? { layers: [{ mediaType: 'a.tar', digest: zeros }] } : {}),
      },
      'INCOMPLETE_IMAGE',
      /no file blobs\/sha256\/000/,
    ],
    [
      'a layer that cannot be decompressed',
      { layers, compress: (bytes) => Buffer.concat([Buffer.from([0x1f, 0x8b]), bytes]) },
      'BAD_IMAGE',
      /cannot be decompressed/,
    ],
    [
      'a layer that is no archive',
      { layers: [Buffer.alloc(5000, 'x')] },
      'BAD_IMAGE',
      /layer 1 .*the archive has a broken/,
    ],
    [
      'a layer truncated in a file',
      { layers: [Buffer.concat([TOP, raw({ name: 'a', data: 'x', size: 9999 })])] },
      'BAD_IMAGE',
      /truncated/,
    ],
    [
      'a layer with more behind its end',
      { layers: [Buffer.concat([TOP, END, Buffer.alloc(2 ** 21, 'x')])] },
      'BAD_IMAGE',
      /has data after its end/,
    ],
    [
      'no shell',
      { layers: [archive(raw({ name: 'app', mode: 0o755 }))] },
      'NO_ROOT_FILESYSTEM',
      /no \/bin\/sh; use an image with a shell/,
    ],
    [
      'a shell that is a link in a circle',
      { layers: [archive(raw({ type: '2', name: 'bin', link: 'bin' }))] },
      'NO_ROOT_FILESYSTEM',
      /no \/bin\/sh/,
    ],
    [
      '1001 layers',
      { layers: Array.from({ length: 1001 }, () => archive()) },
      'TOO_MANY_LAYERS',
      /more than 1000 layers/,
    ],
  ];
  function first(json: Json): object {
    const list: unknown = json.manifests;
    const found: unknown = Array.isArray(list) ? list[0] : undefined;
    return typeof found === 'object' && found !== null ? found : {};
  }
  for (const [what, made, code, words] of BROKEN) {
    it(`is refused with ${what}`, async () => {
      writeLayout(layout, made);
      await refused(take(), code, words);
    });
  }

  it('is refused when its blob was changed, or a JSON file is huge or none', async () => {
    const { digest } = writeLayout(layout, { layers });
    const path = join(layout, 'blobs/sha256', String(digest).slice(7));
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace('2', '3'));
    await refused(take(), 'WRONG_DIGEST', /the manifest of the image has the digest/);
    writeFileSync(join(layout, 'index.json'), Buffer.alloc(5 * 2 ** 20, ' '));
    await refused(take(), 'TOO_LARGE', /index\.json of the image has 5242880 bytes/);
    for (const wrong of ['', '[', '[]', 'null', '5', '{"manifests":[null,5,"x",{}]}']) {
      writeFileSync(join(layout, 'index.json'), wrong);
      await assert.rejects(take(), UsageError, wrong);
    }
    writeFileSync(join(layout, 'index.json'), `{"manifests":[{"mediaType":"x","digest":"${zeros}"}]}`);
    await refused(take(), 'BAD_IMAGE', /has no manifest/);
  });

  it('has a limit of bytes, whatever its layers and archives are compressed to', async () => {
    const bomb = Buffer.concat([TOP, raw({ name: 'bomb', data: Buffer.alloc(20 * 2 ** 20) }), END]);
    writeLayout(layout, { layers: [archive(SHELL), bomb] });
    const options = { arch: hostArchitecture(), log: silentLog, signal: undefined, maxBytes: 2 ** 20 };
    const run = (path: string) =>
      importContainerImage({ path, tag: undefined }, join(cache.images, 'stem'), 2, options).finally(() =>
        rmSync(join(cache.images, 'stem.outer'), { force: true }),
      );
    await refused(
      run(layout),
      'TOO_LARGE',
      /more than 1048576 bytes of files \(bomb is the first too many\)/,
    );
    const packed = join(folder, 'packed.tar.gz');
    writeLayout(layout, { layers: [bomb], compress: (bytes) => bytes });
    execFileSync('tar', ['-c', '-z', '-f', packed, '-C', layout, '.']);
    await refused(run(packed), 'TOO_LARGE', /archive of the image has more than 1048576 bytes/);
  });

  it('of the format dir: of skopeo is refused with the remedy', async () => {
    mkdirSync(layout);
    writeFileSync(join(layout, 'manifest.json'), '{"schemaVersion":2}');
    await refused(take(), 'BAD_IMAGE', /format dir: of skopeo; convert it by skopeo copy/);
  });
});
