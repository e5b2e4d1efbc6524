/** Archives that must change nothing on the host, and the reason that the refusal must give. */
import { archive, directory, END, pax, raw, TOP } from '../archive/archives.ts';

export interface HostileArchive {
  readonly what: string;
  /** @param canary absolute path of a directory outside of the destination, with a file `file` */
  readonly bytes: (canary: string) => Buffer;
  /** In the message of the refusal. */
  readonly says: RegExp;
  readonly maxBytes?: number;
  readonly maxEntries?: number;
}

const sparse = (
  map: string,
  data: string,
  realSize: number,
  more: readonly [string, string][] = [],
): Buffer =>
  Buffer.concat([
    pax([
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.name', 'sparse'],
      ['GNU.sparse.realsize', String(realSize)],
      ...more,
    ]),
    raw({
      name: 'GNUSparseFile.1/sparse',
      data: Buffer.concat([Buffer.from(map.padEnd(512, '\0')), Buffer.from(data)]),
    }),
  ]);

export const HOSTILE: readonly HostileArchive[] = [
  {
    what: 'an absolute name',
    bytes: (canary) => archive(raw({ name: `${canary}/new`, data: 'x' })),
    says: /new.*absolute/,
  },
  { what: 'an absolute directory', bytes: (canary) => archive(directory(canary)), says: /absolute/ },
  {
    what: 'an absolute name in an extended header',
    bytes: (canary) => archive(pax([['path', `${canary}/new`]]), raw({ name: 'harmless', data: 'x' })),
    says: /absolute/,
  },
  {
    what: 'an absolute long name',
    bytes: (canary) =>
      archive(
        raw({ type: 'L', name: '././@LongLink', data: `${canary}/new\0` }),
        raw({ name: 'harmless', data: 'x' }),
      ),
    says: /absolute/,
  },
  {
    what: 'a name that leads upwards',
    bytes: () => archive(raw({ name: '../new', data: 'x' })),
    says: /\.\.\/new.*upwards/,
  },
  {
    what: 'a name that leads upwards in its middle',
    bytes: () => archive(directory('a'), raw({ name: 'a/../../new', data: 'x' })),
    says: /upwards/,
  },
  {
    what: 'a name that ends with ..',
    bytes: () => archive(directory('a'), directory('a/..')),
    says: /upwards/,
  },
  {
    what: 'a prefix that leads upwards',
    bytes: () => archive(raw({ name: 'new', prefix: '..', data: 'x' })),
    says: /upwards/,
  },
  {
    what: 'a file written through an absolute link',
    bytes: (canary) =>
      archive(raw({ type: '2', name: 'a', link: canary }), raw({ name: 'a/file', data: 'evil' })),
    says: /a\/file.*through a symbolic link/,
  },
  {
    what: 'a file written through a relative link',
    bytes: () => archive(raw({ type: '2', name: 'a', link: '..' }), raw({ name: 'a/new', data: 'evil' })),
    says: /through a symbolic link/,
  },
  {
    what: 'a directory exchanged for a link',
    bytes: (canary) =>
      archive(
        directory('a'),
        raw({ type: '2', name: 'a', link: canary }),
        raw({ name: 'a/file', data: 'evil' }),
      ),
    says: /is in the archive twice/,
  },
  {
    what: 'a link exchanged for a directory',
    bytes: (canary) =>
      archive(
        raw({ type: '2', name: 'a', link: canary }),
        directory('a'),
        raw({ name: 'a/file', data: 'evil' }),
      ),
    says: /is in the archive twice/,
  },
  {
    what: 'a file over a link',
    bytes: (canary) =>
      archive(raw({ type: '2', name: 'a', link: `${canary}/file` }), raw({ name: 'a', data: 'evil' })),
    says: /is in the archive twice/,
  },
  {
    what: 'a file over a link by another spelling',
    bytes: (canary) =>
      archive(raw({ type: '2', name: 'a', link: `${canary}/file` }), raw({ name: './/a', data: 'evil' })),
    says: /is in the archive twice/,
  },
  {
    what: 'a link as the top directory',
    bytes: (canary) => Buffer.concat([raw({ type: '2', name: '.', link: canary }), END]),
    says: /top directory/,
  },
  {
    what: 'a hard link to an absolute name',
    bytes: (canary) => archive(raw({ type: '1', name: 'a', link: `${canary}/file` })),
    says: /hard link.*outside/,
  },
  {
    what: 'a hard link that leads upwards',
    bytes: () => archive(raw({ type: '1', name: 'a', link: '../canary/file' })),
    says: /hard link.*outside/,
  },
  {
    what: 'a hard link through a symbolic link',
    bytes: (canary) =>
      archive(raw({ type: '2', name: 'l', link: canary }), raw({ type: '1', name: 'a', link: 'l/file' })),
    says: /hard link.*is not in the archive/,
  },
  {
    what: 'a hard link to nothing',
    bytes: () => archive(raw({ type: '1', name: 'a', link: 'b' })),
    says: /is not in the archive before/,
  },
  {
    what: 'a hard link to a directory',
    bytes: () => archive(directory('d'), raw({ type: '1', name: 'a', link: 'd' })),
    says: /hard link to the directory/,
  },
  {
    what: 'a hard link with content',
    bytes: () => archive(raw({ name: 'f', data: 'x' }), raw({ type: '1', name: 'a', link: 'f', data: 'y' })),
    says: /has content, but is not a file/,
  },
  {
    what: 'a character device',
    bytes: () => archive(raw({ type: '3', name: 'null' })),
    says: /null.*character device/,
  },
  {
    what: 'a block device',
    bytes: () => archive(raw({ type: '4', name: 'vda' })),
    says: /vda.*block device/,
  },
  { what: 'a fifo', bytes: () => archive(raw({ type: '6', name: 'pipe' })), says: /pipe.*fifo/ },
  {
    what: 'a socket, or what else',
    bytes: () => archive(raw({ type: 's', name: 'socket' })),
    says: /socket.*unknown kind/,
  },
  {
    what: 'the second half of a file',
    bytes: () => archive(raw({ type: 'M', name: 'half' })),
    says: /half.*unknown kind/,
  },
  {
    what: 'a setuid file',
    bytes: () => archive(raw({ name: 'su', mode: 0o4755, data: 'x' })),
    says: /su.*setuid/,
  },
  {
    what: 'a setgid file',
    bytes: () => archive(raw({ name: 'sg', mode: 0o2755, data: 'x' })),
    says: /sg.*setgid/,
  },
  {
    what: 'file capabilities',
    bytes: () =>
      archive(pax([['SCHILY.xattr.security.capability', 'x']]), raw({ name: 'ping', mode: 0o755 })),
    says: /ping.*capabilities/,
  },
  {
    what: 'a trusted attribute',
    bytes: () => archive(pax([['SCHILY.xattr.trusted.overlay.opaque', 'y']]), directory('d')),
    says: /trusted\.overlay\.opaque/,
  },
  {
    what: 'an attribute that hides in its own spelling',
    bytes: () => archive(pax([['SCHILY.xattr.security%2Ecapability', 'y']]), directory('d')),
    says: /cannot be kept on the host/,
  },
  {
    what: 'a record that claims to be longer than its header',
    bytes: () => archive(pax([['path', 'x', 99_999]]), raw({ name: 'x' })),
    says: /broken extended header/,
  },
  {
    what: 'a record that claims to be short',
    bytes: () => archive(pax([['path', 'x'.repeat(50), 9]]), raw({ name: 'x' })),
    says: /broken extended header/,
  },
  {
    what: 'a record of no length',
    bytes: () => archive(raw({ type: 'x', name: 'x', data: '0 path=x\n' }), raw({ name: 'x' })),
    says: /broken extended header/,
  },
  {
    what: 'an extended header of 2 GB',
    bytes: () => Buffer.concat([TOP, raw({ type: 'x', name: 'x', size: 2 ** 31 }), Buffer.alloc(1 << 20)]),
    says: /header of 2147483648 bytes/,
  },
  {
    what: 'a long name of 2 GB',
    bytes: () => Buffer.concat([TOP, raw({ type: 'L', name: 'x', size: 2 ** 31 })]),
    says: /header of 2147483648 bytes/,
  },
  {
    what: 'a name of 5000 bytes',
    bytes: () => archive(pax([['path', 'x/'.repeat(2500)]]), raw({ name: 'x' })),
    says: /more than 3900 bytes/,
  },
  {
    what: 'one name of 256 bytes',
    bytes: () => archive(pax([['path', 'x'.repeat(256)]]), raw({ name: 'x' })),
    says: /more than 255 bytes/,
  },
  {
    what: 'a name with a zero byte',
    bytes: () => archive(pax([['path', 'a\0b']]), raw({ name: 'x' })),
    says: /zero byte/,
  },
  {
    what: 'two extended headers',
    bytes: () => archive(pax([['path', 'a']]), pax([['path', 'b']]), raw({ name: 'x' })),
    says: /two extended headers/,
  },
  {
    what: 'records for everything',
    bytes: () => archive(raw({ type: 'g', name: 'g', data: '9 path=x\n' }), raw({ name: 'x' })),
    says: /global extended header, which is not supported: path/,
  },
  {
    what: 'a negative size',
    bytes: () => archive(raw({ name: 'a', sizeField: Buffer.alloc(12, 0xff) })),
    says: /entry of -1 bytes/,
  },
  {
    what: 'a size beyond all numbers',
    bytes: () =>
      archive(raw({ name: 'a', sizeField: Buffer.concat([Buffer.from([0x80]), Buffer.alloc(11, 0xff)]) })),
    says: /too large/,
  },
  {
    what: 'a size that is no number',
    bytes: () => archive(raw({ name: 'a', sizeField: Buffer.from('12z45678901\0') })),
    says: /broken number/,
  },
  {
    what: 'a record of a size that is no number',
    bytes: () => archive(pax([['size', '0x10']]), raw({ name: 'a' })),
    says: /broken record size/,
  },
  {
    what: 'a file that claims more than there is',
    bytes: () => archive(raw({ name: 'a', data: 'x', size: 9999 })),
    says: /is truncated/,
  },
  {
    what: 'a file that claims less than there is',
    bytes: () => archive(raw({ name: 'a', data: 'x'.repeat(2000), size: 10 })),
    says: /broken (header|number)/,
  },
  {
    what: 'a directory with content',
    bytes: () => archive(raw({ type: '5', name: 'd', data: 'x' })),
    says: /has content, but is not a file/,
  },
  {
    what: 'a link with content',
    bytes: () => archive(raw({ type: '2', name: 'l', link: 'x', data: 'x' })),
    says: /has content, but is not a file/,
  },
  {
    what: 'a link without a target',
    bytes: () => archive(raw({ type: '2', name: 'l' })),
    says: /without a usable target/,
  },
  {
    what: 'a wrong checksum',
    bytes: () => archive(raw({ name: 'a', badChecksum: true })),
    says: /broken header/,
  },
  {
    what: 'a file in a directory that did not come',
    bytes: () => archive(raw({ name: 'd/a', data: 'x' })),
    says: /directory is not in the archive/,
  },
  {
    what: 'no top directory',
    bytes: () => Buffer.concat([raw({ name: 'a', data: 'x' }), END]),
    says: /directory is not in the archive/,
  },
  {
    what: 'a file below a file',
    bytes: () => archive(raw({ name: 'f', data: 'x' }), raw({ name: 'f/a', data: 'x' })),
    says: /through a file/,
  },
  {
    what: 'a stream truncated in a header',
    bytes: () => Buffer.concat([TOP, raw({ name: 'a', data: 'x' }).subarray(0, 300)]),
    says: /is truncated/,
  },
  {
    what: 'a stream truncated in a file',
    bytes: () => Buffer.concat([TOP, raw({ name: 'a', data: 'x'.repeat(5000) }).subarray(0, 3000)]),
    says: /is truncated/,
  },
  {
    what: 'a stream truncated between two files',
    bytes: () => Buffer.concat([TOP, raw({ name: 'a', data: 'x' })]),
    says: /is truncated/,
  },
  { what: 'nothing at all', bytes: () => Buffer.alloc(0), says: /is truncated/ },
  { what: 'an archive without anything in it', bytes: () => END, says: /has no entries/ },
  { what: 'something that is no archive', bytes: () => Buffer.alloc(100_000, 'not a tar '), says: /broken/ },
  {
    what: 'a second archive behind the end',
    bytes: (canary) =>
      Buffer.concat([archive(), archive(raw({ name: `${canary}/x`, data: 'x'.repeat(2_000_000) }))]),
    says: /after its end/,
  },
  {
    what: 'zeros without end',
    bytes: () => Buffer.concat([TOP, Buffer.alloc(3 << 20)]),
    says: /after its end/,
  },
  {
    what: 'a header behind one zero block',
    bytes: () => archive(Buffer.alloc(512), raw({ name: 'a' })),
    says: /after its end/,
  },
  {
    what: 'an end where an entry has to follow',
    bytes: () => archive(pax([['path', 'x']])),
    says: /ends after an extended header/,
  },
  {
    what: 'too many bytes',
    bytes: () =>
      archive(raw({ name: 'a', data: 'x'.repeat(6000) }), raw({ name: 'b', data: 'x'.repeat(6000) })),
    says: /more than 10000 bytes/,
    maxBytes: 10_000,
  },
  {
    what: 'a size alone that is too many bytes',
    bytes: () => Buffer.concat([TOP, raw({ name: 'a', size: 2 ** 32 })]),
    says: /more than 10000 bytes/,
    maxBytes: 10_000,
  },
  {
    what: 'a hole that is too many bytes',
    bytes: () => archive(sparse('1\n0\n1\n', 'x', 20_000)),
    says: /more than 10000 bytes/,
    maxBytes: 10_000,
  },
  {
    what: 'too many entries',
    bytes: () => archive(...Array.from({ length: 20 }, (_, i) => raw({ name: `f${i}` }))),
    says: /more than 10 files.*f9/,
    maxEntries: 10,
  },
  {
    what: 'an old sparse file',
    bytes: () => archive(raw({ type: 'S', name: 'sparse' })),
    says: /unknown kind/,
  },
  {
    what: 'a sparse file of format 0.1',
    bytes: () =>
      archive(
        pax([
          ['GNU.sparse.map', '0,1'],
          ['GNU.sparse.size', '10'],
        ]),
        raw({ name: 'a' }),
      ),
    says: /another format than 1\.0/,
  },
  {
    what: 'a sparse map that is no map',
    bytes: () => archive(sparse('abc\n', 'x', 10)),
    says: /broken sparse map/,
  },
  {
    what: 'a sparse map with overlapping parts',
    bytes: () => archive(sparse('2\n0\n5\n3\n5\n', 'x'.repeat(10), 100)),
    says: /overlapping/,
  },
  {
    what: 'a sparse map that goes backwards',
    bytes: () => archive(sparse('2\n50\n5\n0\n5\n', 'x'.repeat(10), 100)),
    says: /overlapping/,
  },
  {
    what: 'a sparse map beyond its file',
    bytes: () => archive(sparse('1\n95\n10\n', 'x'.repeat(10), 100)),
    says: /misplaced/,
  },
  {
    what: 'a sparse map of other data',
    bytes: () => archive(sparse('1\n0\n50\n', 'x'.repeat(10), 100)),
    says: /does not fit/,
  },
  {
    what: 'a sparse map without an end',
    bytes: () => archive(sparse('9999999\n', '', 100)),
    says: /broken sparse map|without an end/,
  },
  {
    what: 'a sparse file with an absolute name',
    bytes: (canary) => archive(sparse('0\n', '', 100, [['GNU.sparse.name', `${canary}/x`]])),
    says: /absolute/,
  },
  {
    what: 'a sparse directory',
    bytes: () =>
      archive(
        pax([
          ['GNU.sparse.major', '1'],
          ['GNU.sparse.minor', '0'],
          ['GNU.sparse.realsize', '1'],
        ]),
        directory('d'),
      ),
    says: /not a file/,
  },
];
