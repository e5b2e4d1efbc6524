/** Container images that are hostile or broken. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../../../src/errors.ts';
import { silentLog } from '../../../src/log.ts';
import { importContainerImage } from '../../../src/rootfs/oci/container-image.ts';
import { hostArchitecture } from '../../../src/rootfs/release.ts';
import { type Json, type Made, sha256, writeIndex, writeLayout } from '../../support/container-image.ts';
import { archive, directory, END, raw, TOP } from '../archive/archives.ts';
import { ImageFolder, SHELL, whiteout } from './image-folder.ts';

describe('a container image', () => {
  let images: ImageFolder;
  beforeEach(() => {
    images = new ImageFolder();
  });
  afterEach(() => images.remove());

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
      writeLayout(images.layout, { layers: [archive(SHELL), archive(...entries)] });
      await images.refuses(images.take(), 'ENTRY_REFUSED', new RegExp(`layer 2 |${words.source}`));
      await images.refuses(images.take(), 'ENTRY_REFUSED', words);
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
      writeLayout(images.layout, made);
      await images.refuses(images.take(), code, words);
    });
  }

  it('is refused when its blob was changed, or a JSON file is huge or none', async () => {
    const { digest } = writeLayout(images.layout, { layers });
    const path = join(images.layout, 'blobs/sha256', String(digest).slice(7));
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace('2', '3'));
    await images.refuses(images.take(), 'WRONG_DIGEST', /the manifest of the image has the digest/);
    writeFileSync(join(images.layout, 'index.json'), Buffer.alloc(5 * 2 ** 20, ' '));
    await images.refuses(images.take(), 'TOO_LARGE', /index\.json of the image has 5242880 bytes/);
    for (const wrong of ['', '[', '[]', 'null', '5', '{"manifests":[null,5,"x",{}]}']) {
      writeFileSync(join(images.layout, 'index.json'), wrong);
      await assert.rejects(images.take(), UsageError, wrong);
    }
    writeFileSync(join(images.layout, 'index.json'), `{"manifests":[{"mediaType":"x","digest":"${zeros}"}]}`);
    await images.refuses(images.take(), 'BAD_IMAGE', /has no manifest/);
  });

  it('has a limit of bytes, whatever its layers and archives are compressed to', async () => {
    const bomb = Buffer.concat([TOP, raw({ name: 'bomb', data: Buffer.alloc(20 * 2 ** 20) }), END]);
    writeLayout(images.layout, { layers: [archive(SHELL), bomb] });
    const options = { arch: hostArchitecture(), log: silentLog, signal: undefined, maxBytes: 2 ** 20 };
    const run = (path: string) =>
      importContainerImage({ path, tag: undefined }, join(images.cache.images, 'stem'), 2, options).finally(
        () => rmSync(join(images.cache.images, 'stem.outer'), { force: true }),
      );
    await images.refuses(
      run(images.layout),
      'TOO_LARGE',
      /more than 1048576 bytes of files \(bomb is the first too many\)/,
    );
    const packed = join(images.folder, 'packed.tar.gz');
    writeLayout(images.layout, { layers: [bomb], compress: (bytes) => bytes });
    execFileSync('tar', ['-c', '-z', '-f', packed, '-C', images.layout, '.']);
    await images.refuses(run(packed), 'TOO_LARGE', /archive of the image has more than 1048576 bytes/);
  });

  it('is refused when its indexes name each other many times', async () => {
    let inner: Json[] = [];
    for (let depth = 0; depth < 3; depth += 1) {
      const text = Buffer.from(JSON.stringify({ manifests: inner }));
      mkdirSync(join(images.layout, 'blobs/sha256'), { recursive: true });
      writeFileSync(join(images.layout, 'blobs/sha256', sha256(text)), text);
      const mediaType = 'application/vnd.oci.image.index.v1+json';
      inner = Array(2000).fill({ mediaType, digest: `sha256:${sha256(text)}`, size: text.length });
    }
    writeIndex(images.layout, inner);
    await images.refuses(images.take(), 'TOO_LARGE', /more than 1000 manifests/);
  });

  it('is refused, and not waited for, when a file of it is a pipe', async () => {
    mkdirSync(images.layout);
    writeFileSync(join(images.layout, 'oci-layout'), '');
    execFileSync('mkfifo', [join(images.layout, 'index.json'), join(images.layout, 'manifest.json')]);
    await images.refuses(images.take(), 'INCOMPLETE_IMAGE', /has no file manifest\.json/);
  });

  it('of the format dir: of skopeo is refused with the remedy', async () => {
    mkdirSync(images.layout);
    writeFileSync(join(images.layout, 'manifest.json'), '{"schemaVersion":2}');
    await images.refuses(images.take(), 'BAD_IMAGE', /format dir: of skopeo; convert it by skopeo copy/);
  });
});
