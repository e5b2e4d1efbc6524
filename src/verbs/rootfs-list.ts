/** `rootfs list`: images, layers and bases as tables or JSON. */
import type { CacheFolder } from '../rootfs/cache.ts';
import { type CommittedImage, committedImages } from '../rootfs/committed.ts';
import { type Image, listImages } from '../rootfs/images.ts';
import { type BaseInfo, listBases } from '../rootfs/prune.ts';
import { readLayers } from '../rootfs/record.ts';
import { livingUsers } from '../rootfs/users.ts';
import { showSize, showTable, showTime } from './figures.ts';
import { age } from './ps.ts';
import { KEY_LENGTH, noMore, type RootfsCall, say } from './rootfs-call.ts';

export async function list({ names, words, cache }: RootfsCall): Promise<number> {
  noMore(names, 'rootfs list takes no words');
  const all = { images: listImages(cache), committed: committedImages(cache), bases: listBases(cache) };
  say(words.has('json') ? `${JSON.stringify(asJson(all, cache), undefined, 2)}\n` : asText(all, Date.now()));
  return 0;
}

interface All {
  readonly images: readonly Image[];
  readonly committed: readonly CommittedImage[];
  readonly bases: readonly BaseInfo[];
}

function asJson({ images, committed, bases }: All, cache: CacheFolder): unknown {
  return {
    images: [
      ...images.map(({ name, path, size, made, order }) => ({
        ...{ name, path, size, made: new Date(made).toISOString(), built: order !== undefined },
      })),
      ...committed.map(({ name, path, size, made, parent, layer, command, recipe }) => ({
        ...{ name, path, size, made, built: false, parent, layer, command, recipe },
      })),
    ],
    layers: readLayers(cache).map(({ key, folder, record }) => ({
      ...{ key, path: `${folder}/tree/root`, size: record.size, parent: record.parent },
      ...{ made: record.unpacked, users: livingUsers(folder) },
    })),
    bases: bases.map(({ key, folder, record, lastUsed, users }) => ({
      ...{ key, path: `${folder}/tree/root`, size: record.size, tarball: record.tarball },
      ...{ unpacked: record.unpacked, lastUsed: new Date(lastUsed).toISOString(), users },
    })),
  };
}

function asText({ images, committed, bases }: All, now: number): string {
  const imageRows = [
    ...images.map(({ name, size, made, path }) => [name, '-', showSize(size), age(now - made), path]),
    ...committed.map(({ name, parent, size, made, path }) => [
      ...[name, parent, showSize(size), age(now - Date.parse(made)), path],
    ]),
  ];
  const baseRows = bases.map(({ key, record, lastUsed, users }) => [
    ...[key.slice(0, KEY_LENGTH), showSize(record.size), showTime(lastUsed)],
    ...[users.length === 0 ? '-' : users.join(','), record.tarball],
  ]);
  const imageTable = showTable(['IMAGE', 'PARENT', 'SIZE', 'AGE', 'PATH'], imageRows);
  const baseTable = showTable(['BASE', 'SIZE', 'LAST USED', 'USED BY', 'TARBALL'], baseRows);
  return `${imageRows.length === 0 ? 'no images\n' : imageTable}\n${bases.length === 0 ? 'no bases\n' : baseTable}`;
}
