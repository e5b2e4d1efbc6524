/** A cache with random records: what is wrong is passed over or named in one sentence. Sizes and seed: test/support/fuzz.ts. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { VirtError } from '../../../src/errors.ts';
import { openCache } from '../../../src/rootfs/cache.ts';
import { committedImages, findCommitted } from '../../../src/rootfs/committed.ts';
import { rememberedHash } from '../../../src/rootfs/identity.ts';
import { listImages } from '../../../src/rootfs/images.ts';
import { inUse } from '../../../src/rootfs/known-base.ts';
import { choosePruned, DEFAULT_LIMITS, imagesOver, listBases } from '../../../src/rootfs/prune.ts';
import { hasLeftovers, readBases, readLayers } from '../../../src/rootfs/record.ts';
import { findStack, keptKeys } from '../../../src/rootfs/stack.ts';
import { parameters, rounds, seed } from '../../support/fuzz.ts';
import { clear, contents, put } from '../../support/random-json.ts';
import { checkSentence } from '../../support/sentence.ts';

const RUNS = rounds({ short: 50, long: 10_000 });

const TREE = { idMap: 'u1', unpacked: '2026-01-01T00:00:00Z', boot: 'b', size: 5 };
const BASE = { ...TREE, tarball: '/x.tar', tarballSize: 1, sha256: 'ab', skipped: ['a'] };
const IMAGE = {
  layer: 'k2-u1',
  parent: 'bookworm',
  tarball: '/x.tar',
  size: 1,
  made: 'now',
  command: ['a'],
  recipe: { from: 'x', run: ['y'] },
};
const keys = fc.constantFrom('k1-u1', 'k2-u1', '.new-u1-x', '.old-k1-u1.1.1', 'x', '..x', 'k3');

describe(`random records of the cache (seed ${seed})`, function () {
  this.timeout(0);
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-records-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const records = fc.uniqueArray(
    fc.tuple(
      keys,
      fc.oneof(
        contents(BASE),
        contents({ ...TREE, parent: 'k1-u1' }),
        contents({ ...TREE, parent: 'k2-u1' }),
      ),
      contents({}),
    ),
    { selector: ([key]) => key, maxLength: 4 },
  );
  const images = fc.uniqueArray(fc.tuple(fc.constantFrom('web-amd64', 'x', '.y', 'a b'), contents(IMAGE)), {
    selector: ([name]) => name,
    maxLength: 3,
  });

  it(`${RUNS} caches`, async () => {
    await fc.assert(
      fc.asyncProperty(
        records,
        images,
        contents({ path: '/x.tar', sha256: 'ab' }),
        async (trees, committed, hash) => {
          clear(folder);
          const cache = openCache({ XDG_CACHE_HOME: folder });
          for (const [key, record, users] of trees) {
            put(join(cache.bases, key, 'base.json'), record);
            if (users.kind !== 'text') put(join(cache.bases, key, 'users'), users);
          }
          for (const [name, record] of committed) put(join(cache.images, `${name}.image`), record);
          put(join(cache.tarballs, `${'0'.repeat(32)}.json`), hash);
          const state = { dev: '1', ino: '1', size: '1', mtime: '1', ctime: '1' };
          const looks: (() => unknown)[] = [
            () => readBases(cache),
            () => readLayers(cache),
            () => hasLeftovers(cache),
            () => keptKeys(cache, ['k1-u1', 'k2-u1', 'x']),
            () => imagesOver(cache, 'k1-u1'),
            () => choosePruned(listBases(cache), DEFAULT_LIMITS, Date.now()),
            () => listImages(cache),
            () => rememberedHash(cache, '/x.tar', state),
            ...['k1-u1', 'k2-u1'].map((key) => () => inUse(cache, key)?.release()),
            ...committed.flatMap(([name]) => [
              () => findCommitted(cache, name),
              () =>
                findStack({ kind: 'image', path: join(cache.images, `${name}.image`) }, 'u1', cache).then(
                  (base) => base?.release(),
                ),
            ]),
            () => {
              for (const image of committedImages(cache)) assert.equal(typeof image.layer, 'string');
            },
          ];
          for (const look of looks) {
            try {
              await look();
            } catch (error) {
              if (!(error instanceof VirtError)) throw new Error(`${look}`, { cause: error });
              checkSentence(error);
            }
          }
        },
      ),
      parameters(RUNS),
    );
  });
});
