/** Random archives against the reader, the checks and the tree of layers. Sizes and seed: test/support/fuzz.ts. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fromBytes } from '../../../src/archive/bytes.ts';
import type { TarEntry } from '../../../src/archive/tar-entry.ts';
import { TarReader } from '../../../src/archive/tar-reader.ts';
import { TarWriter } from '../../../src/archive/tar-writer.ts';
import { EntryChecker } from '../../../src/copy/check.ts';
import { CopyError, VirtError } from '../../../src/errors.ts';
import { planTree } from '../../../src/rootfs/oci/plan.ts';
import { LayerTree } from '../../../src/rootfs/oci/tree.ts';
import { parameters, rounds, seed } from '../../support/fuzz.ts';
import { END, pax, raw } from './archives.ts';

const numRuns = rounds({ short: 200, long: 20_000 });
const PARAMETERS = parameters(numRuns);

type Read = TarEntry & { data: string };

/** The entries of an archive, or the error of the reader; any other error fails the test. */
function read(
  bytes: Buffer,
  piece = bytes.length,
  check?: (entry: TarEntry) => TarEntry,
): Read[] | CopyError {
  const found: Read[] = [];
  const reader = new TarReader({
    entry: (entry) => void found.push({ ...(check?.(entry) ?? entry), data: '' }),
    data: (data) => {
      const last = found.at(-1);
      assert.ok(last !== undefined);
      last.data += data.toString('latin1');
    },
  });
  try {
    for (let at = 0; at < bytes.length; at += piece) reader.push(bytes.subarray(at, at + piece));
    reader.finish();
    return found;
  } catch (error) {
    if (error instanceof CopyError) return error;
    throw error;
  }
}

/** Null, except one time in `times`. */
function rarely<T>(arbitrary: fc.Arbitrary<T>, times: number): fc.Arbitrary<T | null> {
  return fc.oneof({ weight: times - 1, arbitrary: fc.constant(null) }, { weight: 1, arbitrary });
}

/** Mostly plain, so that many archives are accepted. */
const name = fc
  .array(
    fc.oneof(
      { weight: 60, arbitrary: fc.constantFrom('a', 'b', 'c', 'd') },
      {
        weight: 6,
        arbitrary: fc.constantFrom('.wh.a', '.wh.b', '.wh..wh..opq', '\xe9', 'x'.repeat(120), '.'),
      },
      { weight: 1, arbitrary: fc.constantFrom('..', '', '.wh...') },
    ),
    { minLength: 1, maxLength: 3 },
  )
  .map((names) => names.join('/'));
const type = fc.oneof(
  { weight: 40, arbitrary: fc.constantFrom('0', '5', '5', '2') },
  { weight: 6, arbitrary: fc.constantFrom('1', '6') },
  { weight: 1, arbitrary: fc.constantFrom('3', 'x', 'L', 'K', 'g', 'S') },
);
const member = fc
  .record({
    ...{ name, type, link: name, data: fc.uint8Array({ maxLength: 1100 }) },
    lie: rarely(fc.nat({ max: 5000 }), 60),
    record: rarely(
      fc.tuple(
        fc.constantFrom('path', 'linkpath', 'size', 'mtime', 'uid', 'SCHILY.xattr.user.a'),
        fc.string(),
      ),
      20,
    ),
  })
  .map(({ name, type, link, data, lie, record }) => {
    const hasData = '0xLKg'.includes(type);
    const entry = raw({
      ...{ name: Buffer.from(name, 'latin1'), type, link: Buffer.from(link, 'latin1') },
      ...(hasData ? { data: Buffer.from(data) } : {}),
      ...(lie === null ? {} : { size: lie }),
    });
    return record === null ? entry : Buffer.concat([pax([record]), entry]);
  });
const damage = rarely(fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }), 4);
const archives = fc
  .tuple(fc.array(member, { maxLength: 8 }), damage, fc.nat({ max: 1000 }))
  .map(([members, changes, cut]) => {
    const bytes = Buffer.concat([raw({ type: '5', name: './', mode: 0o755 }), ...members, END]);
    for (const [at, byte] of changes ?? []) bytes[at % bytes.length] = byte;
    return cut < 100 ? bytes.subarray(0, Math.max(1, bytes.length - cut * 40)) : bytes;
  });

describe(`random archives (seed ${seed}, ${numRuns} runs)`, function () {
  this.timeout(0);

  it('are read in the same way in pieces of any size, or refused', () => {
    fc.assert(
      fc.property(archives, fc.integer({ min: 1, max: 1500 }), (bytes, piece) => {
        const [whole, pieces] = [read(bytes), read(bytes, piece)];
        if (whole instanceof CopyError) assert.ok(pieces instanceof CopyError);
        else assert.deepEqual(pieces, whole);
      }),
      PARAMETERS,
    );
  });

  it('that pass the checks stay within their directory, and are written as they were read', () => {
    fc.assert(
      fc.property(archives, (bytes) => {
        const checker = new EntryChecker({}, () => {});
        const entries = read(bytes, bytes.length, (entry) => checker.check(entry));
        if (entries instanceof CopyError) return;
        const seen = new Map<string, string>();
        const chunks: Buffer[] = [];
        const writer = new TarWriter('pax', (chunk) => void chunks.push(chunk));
        for (const { data, ...entry } of entries) {
          const names = entry.path.split('/');
          assert.ok(entry.path === '.' || !names.some((each) => ['', '.', '..'].includes(each)), entry.path);
          if (entry.path !== '.') assert.equal(seen.get(names.slice(0, -1).join('/') || '.'), 'directory');
          assert.ok(!seen.has(entry.path));
          seen.set(entry.path, entry.kind);
          if (entry.kind === 'hard link') assert.ok(seen.has(entry.link));
          writer.entry(entry);
          if (data !== '') writer.data(Buffer.from(data, 'latin1'));
        }
        writer.end();
        assert.deepEqual(read(Buffer.concat(chunks)), entries);
      }),
      PARAMETERS,
    );
  });

  it('as layers make a tree that is whole, with each name once, or are refused', () => {
    fc.assert(
      fc.property(fc.array(archives, { minLength: 1, maxLength: 4 }), (layers) => {
        const tree = new LayerTree({ maxBytes: 2 ** 30 });
        try {
          for (const layer of layers) {
            tree.beginLayer();
            const entries = read(layer);
            if (entries instanceof CopyError) return;
            for (const entry of entries) tree.add(entry);
          }
        } catch (error) {
          assert.ok(error instanceof VirtError, String(error));
          return;
        }
        const { first, files, links } = planTree(tree);
        const kinds = new Map<string, string>();
        const put = (path: string, kind: string): void => {
          const clean = path.replace(/\/$/, '');
          const names = clean.split('/');
          assert.ok(clean === '.' || names.every((each, i) => (i === 0 ? each === '.' : each !== '.')), path);
          assert.ok(!names.some((each) => each === '' || each === '..' || each.startsWith('.wh.')), path);
          if (clean !== '.') assert.equal(kinds.get(names.slice(0, -1).join('/')), 'directory', path);
          assert.ok(!kinds.has(clean), path);
          kinds.set(clean, kind);
        };
        for (const { path, kind } of first) put(path, kind);
        for (const ofLayer of files.values()) for (const path of ofLayer.values()) put(path, 'file');
        for (const { path, link } of links) {
          assert.ok(kinds.has(link), fromBytes(Buffer.from(link)));
          put(path, 'hard link');
        }
      }),
      PARAMETERS,
    );
  });
});
