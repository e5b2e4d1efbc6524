/** Images of containers become one tarball; the layers are made byte by byte. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TarEntry } from '../../../src/archive/tar-entry.ts';
import { TarReader } from '../../../src/archive/tar-reader.ts';
import { silentLog } from '../../../src/log.ts';
import { findProgram } from '../../../src/processes/find.ts';
import { importImage } from '../../../src/rootfs/images.ts';
import {
  goArchitecture,
  type Json,
  type Made,
  sha256,
  writeIndex,
  writeLayout,
} from '../../support/container-image.ts';
import { archive, directory, pax, raw, TOP } from '../archive/archives.ts';
import { ImageFolder, listing, SHELL, whiteout } from './image-folder.ts';

describe('a container image', () => {
  let images: ImageFolder;
  beforeEach(() => {
    images = new ImageFolder();
  });
  afterEach(() => images.remove());

  const flattened = async (...layers: readonly Buffer[]): Promise<string[]> => {
    writeLayout(images.layout, { layers });
    return listing(await images.take());
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
      archive(directory('lib/'), raw({ name: 'lib/new', data: '2' })),
    );
    assert.deepEqual(others(lines).slice(0, 1), ['directory ./lib/']);
    assert.ok(lines.includes('file ./lib/new 2'));
  });

  it('follows links of the layers below where a layer does not have the directory, as umoci and podman do', async () => {
    const lines = await flattened(
      archive(
        ...[
          directory('usr/'),
          directory('usr/bin/'),
          raw({ name: 'usr/bin/sh', mode: 0o755, data: 'shell' }),
        ],
        ...[raw({ name: 'usr/bin/old', data: '1' }), raw({ name: 'usr/bin/kept', data: '1' })],
        ...[
          raw({ type: '2', name: 'bin', link: 'usr/bin' }),
          raw({ type: '2', name: 'far', link: '/bin/../lib' }),
        ],
        ...[directory('usr/lib/'), raw({ type: '2', name: 'gone', link: '../../etc/gone' })],
      ),
      archive(
        ...[
          raw({ name: 'bin/tool', data: '2' }),
          whiteout('bin/.wh.old'),
          raw({ name: 'far/a/b', data: '2' }),
        ],
        ...[raw({ type: '1', name: 'hard', link: 'bin/kept' }), raw({ name: 'gone/x', data: '2' })],
      ),
    );
    assert.deepEqual(
      lines.filter((line) => !line.startsWith('directory ')),
      [
        ...['symbolic link ./bin usr/bin', 'symbolic link ./far /bin/../lib'],
        ...['file ./usr/bin/sh shell', 'file ./hard 1', 'file ./usr/bin/tool 2', 'file ./usr/lib/a/b 2'],
        ...['file ./gone/x 2', 'hard link ./usr/bin/kept ./hard'],
      ],
    );
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
    writeLayout(images.layout, {
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
    const path = await images.take();
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
    writeLayout(images.layout, {
      layers: [
        archive(SHELL, raw({ name: 'etc/environment', data: 'OLD=1' })),
        archive(raw({ name: './etc/environment', data: 'PATH=/old' })),
      ],
      env,
    });
    const lines = listing(await images.take());
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
      writeLayout(images.layout, { layers, compress });
      assert.deepEqual(listing(await images.take()), USUAL);
    }
  });

  it('is found as a directory, an archive of it, and one that is compressed', async () => {
    writeLayout(images.layout, { layers: [archive(SHELL)] });
    for (const [file, ...options] of [
      ['plain.tar', '-C', images.layout, '.'],
      ['named.tar', '-C', images.layout, 'blobs', 'index.json', 'oci-layout'],
      ['packed.tar.gz', '-z', '-C', images.layout, '.'],
      ['packed.tar.zst', '--zstd', '-C', images.layout, '.'],
    ] as const) {
      execFileSync('tar', ['-c', '-f', join(images.folder, file), ...options]);
      assert.deepEqual(listing(await images.take(join(images.folder, file))), USUAL, file);
    }
    assert.deepEqual(
      readdirSync(images.cache.images).filter((file) => file.startsWith('.')),
      [],
    );
  });

  it('is read to its end by a decompressor that ends later than its output', async () => {
    writeLayout(images.layout, { layers: [archive(SHELL)] });
    const file = join(images.folder, 'packed.tar.zst');
    execFileSync('tar', ['-c', '-f', file, '--zstd', '-C', images.layout, '.']);
    const programs = join(images.folder, 'programs');
    mkdirSync(programs);
    const slow = `#!/bin/sh\n${findProgram('zstd')} "$@" || exit\nexec >&-\nsleep 0.2\n`;
    writeFileSync(join(programs, 'zstd'), slow, { mode: 0o755 });
    const { PATH } = process.env;
    process.env.PATH = `${programs}:${PATH}`;
    try {
      assert.deepEqual(listing(await images.take(file)), USUAL);
    } finally {
      process.env.PATH = PATH;
    }
  });

  it('for which the cache has no room is not called broken', async () => {
    writeLayout(images.layout, {
      layers: [archive(SHELL, raw({ name: 'large', data: Buffer.alloc(2 ** 20) }))],
    });
    const programs = join(images.folder, 'programs');
    mkdirSync(programs);
    const full =
      '#!/bin/sh\nhead -c 512 >/dev/null\necho "zstd: error 70 : No space left on device" >&2\nexit 1\n';
    writeFileSync(join(programs, 'zstd'), full, { mode: 0o755 });
    const { PATH } = process.env;
    process.env.PATH = `${programs}:${PATH}`;
    try {
      await assert.rejects(images.take(), { name: 'TestbedError', code: 'CACHE_FULL', remedy: /free space/ });
    } finally {
      process.env.PATH = PATH;
    }
    assert.deepEqual(readdirSync(images.cache.images), []);
  });

  /** Gives up an import while the decompressor runs; `first` is a command of sh(1) for how it starts. */
  async function givesUp(file: string, first = ':'): Promise<void> {
    const programs = join(images.folder, 'programs');
    mkdirSync(programs);
    const started = join(images.folder, 'started');
    execFileSync('mkfifo', [started]);
    const hangs = `#!/bin/sh\n${first}\necho x >${started}\nexec sleep 1000\n`;
    writeFileSync(join(programs, 'zstd'), hangs, { mode: 0o755 });
    const { PATH } = process.env;
    process.env.PATH = `${programs}:${PATH}`;
    try {
      const ending = new AbortController();
      const taking = importImage(images.cache, file, 'c-amd64', silentLog, ending.signal);
      taking.catch(() => {});
      assert.equal(await readFile(started, 'utf8'), 'x\n');
      ending.abort(new Error('enough'));
      await assert.rejects(taking, /^Error: enough$/);
      assert.deepEqual(readdirSync(images.cache.images), []);
    } finally {
      process.env.PATH = PATH;
    }
  }

  it('that is decompressed is not waited for when the caller ends', async () => {
    writeLayout(images.layout, { layers: [archive(SHELL)] });
    const file = join(images.folder, 'packed.tar.zst');
    execFileSync('tar', ['-c', '-f', file, '--zstd', '-C', images.layout, '.']);
    // The first one is asked for the first name of the archive.
    await givesUp(file, `mkdir ${images.folder}/first && exec ${findProgram('zstd')} "$@"`);
  });

  it('of which a layer is decompressed is not waited for when the caller ends', async () => {
    const zstd = (bytes: Buffer) => execFileSync('zstd', ['-q'], { input: bytes });
    writeLayout(images.layout, { layers: [archive(SHELL)], compress: zstd });
    await givesUp(images.layout);
  });

  /** docker save as of old versions: no digests but those of the content. */
  function dockerArchive(
    layers: readonly Buffer[],
    change: (manifest: Json, config: Json) => void = () => {},
  ): string {
    const docker = join(images.folder, 'docker');
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
    const path = join(images.folder, 'docker.tar');
    execFileSync('tar', ['-c', '-f', path, '-C', docker, `${sha256(text)}.json`, 'one', 'manifest.json']);
    return path;
  }

  it('of old versions of docker is verified by the digests of the content', async () => {
    const path = await images.take(dockerArchive([archive(SHELL)]));
    assert.deepEqual(listing(path), USUAL);
    rmSync(path);
    const wrong = dockerArchive([archive(SHELL)], (_, config) => {
      config.rootfs = { diff_ids: [`sha256:${'0'.repeat(64)}`] };
    });
    await images.refuses(images.take(wrong), 'WRONG_DIGEST', /layer 1 .* has the digest sha256:/);
    const outside = dockerArchive([archive(SHELL)], (manifest) => {
      manifest.Layers = ['../../etc/passwd'];
    });
    await images.refuses(images.take(outside), 'OUTSIDE', /outside of the image/);
  });

  describe('of several ones', () => {
    const two = (first: Made, second: Made): Json[] => [
      writeLayout(images.layout, first),
      writeLayout(images.layout, second),
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
      writeFileSync(join(images.layout, 'blobs/sha256', sha256(inner)), inner);
      const mediaType = 'application/vnd.oci.image.index.v1+json';
      writeIndex(images.layout, [{ mediaType, digest: `sha256:${sha256(inner)}`, size: inner.length }]);
      assert.deepEqual(listing(await images.take()), USUAL);
    });

    it('is an error for another machine, which names the option', async () => {
      writeLayout(images.layout, { layers, architecture: 'riscv64' });
      await images.refuses(
        images.take(),
        'WRONG_ARCHITECTURE',
        /is for linux\/riscv64, not for .*; give --arch=riscv64/,
      );
      writeLayout(images.layout, {
        layers,
        architecture: 'arm',
        change: (what) => (what === 'config' ? { variant: 'v6' } : {}),
      });
      await images.refuses(images.take(), 'WRONG_ARCHITECTURE', /linux\/arm\/v6.*--arch=armel/);
    });

    it('is chosen by its tag behind the path', async () => {
      const [a, b] = two({ layers: [archive(SHELL, raw({ name: 'a' }))], tag: 'a' }, { layers, tag: 'b:c' });
      writeIndex(images.layout, [a ?? {}, b ?? {}]);
      await images.refuses(
        images.take(),
        'SEVERAL_IMAGES',
        /several images: a, b:c; name one of them after the path, as FILE:TAG/,
      );
      await images.refuses(images.take(`${images.layout}:d`), 'NO_TAG', /no image d; there are a, b:c/);
      assert.deepEqual(others(listing(await images.take(`${images.layout}:a`))), ['file ./a']);
      assert.deepEqual(listing(await images.take(`${images.layout}:b:c`)), USUAL);
    });
  });
});
