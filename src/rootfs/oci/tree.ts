/**
 * The tree that the layers of an image make, of headers only. A layer changes the tree as the specification of OCI images says:
 * a file `.wh.NAME` removes what the layers below have as NAME, `.wh..wh..opq` all that they have in its directory.
 */
import { type ByteString, shown } from '../../archive/bytes.ts';
import { ALL_PATHS, cleanPath, MOST_ENTRIES } from '../../archive/paths.ts';
import type { TarEntry } from '../../archive/tar-entry.ts';
import { badImage } from './bad-image.ts';

export interface Inode {
  /** Its path is that of the header. */
  readonly entry: TarEntry;
  readonly layer: number;
  /** The number of its header in the layer. */
  readonly position: number;
}

export interface Node {
  inode: Inode;
  /** The last layer that had it. */
  layer: number;
  /** Of a directory. */
  readonly children: Map<ByteString, Node> | undefined;
}

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
/** Other names of aufs, which mean nothing to other programs. */
const AUFS = '.wh..wh.';
const LONGEST_TARGET = 4095;
const MOST_LINKS = 40;
const LARGEST_ID = 2 ** 32 - 2;

export interface TreeLimits {
  readonly maxBytes: number;
  readonly maxEntries?: number;
}

export class LayerTree {
  readonly root: Node;
  readonly #limits: Required<TreeLimits>;
  #layer = 0;
  #position = -1;
  #entries = 0;
  #bytes = 0;
  #pathBytes = 0;

  constructor({ maxBytes, maxEntries = MOST_ENTRIES }: TreeLimits) {
    this.#limits = { maxBytes, maxEntries };
    this.root = this.#directory({ ...IMPLICIT, path: '.' });
  }

  beginLayer(): void {
    this.#layer += 1;
    this.#position = -1;
  }

  /** Gives its inode when it is a new one. @throws UsageError when the entry is refused */
  add(entry: TarEntry): Inode | undefined {
    this.#position += 1;
    const path = cleanPath(fromRoot(entry.path), (why) => refuse(entry, why));
    this.#count(path, entry);
    const names = path === '.' ? [] : path.split('/');
    const name = names.pop();
    if ([...names, name ?? ''].some((each) => each.startsWith(AUFS) && each !== OPAQUE)) return undefined;
    if (names.some((each) => each.startsWith(WHITEOUT))) refuse(entry, 'its directory is a whiteout');
    if (name?.startsWith(WHITEOUT) === true) {
      this.#whiteOut(entry, names, name);
      return undefined;
    }
    check(entry);
    if (name === undefined) {
      if (entry.kind !== 'directory') refuse(entry, 'it has the name of the top directory');
      return this.#describe(this.root, entry);
    }
    const parent = this.#parent(entry, names);
    const there = parent.get(name);
    if (entry.kind === 'directory' && there?.children !== undefined) return this.#describe(there, entry);
    if (entry.kind === 'hard link') {
      parent.set(name, { inode: this.#target(entry), layer: this.#layer, children: undefined });
      return undefined;
    }
    const node = entry.kind === 'directory' ? this.#directory(entry) : this.#leaf(entry);
    parent.set(name, node);
    return node.inode;
  }

  /** What a clean path names, without following a link. */
  find(path: ByteString): Node | undefined {
    let node: Node | undefined = this.root;
    if (path === '.') return node;
    for (const name of path.split('/')) node = node?.children?.get(name);
    return node;
  }

  /** What a path names when links are followed as if the tree were the root directory. */
  follow(path: ByteString): Node | undefined {
    return this.#walk(path, [this.root])?.at(-1);
  }

  /** The directories from the root to what a path names, and this; `from` are those of the directory where it starts. */
  #walk(path: ByteString, from: readonly Node[]): Node[] | undefined {
    const done = path.startsWith('/') ? [this.root] : [...from];
    const todo = path.split('/').reverse();
    for (let links = 0, name = todo.pop(); name !== undefined; name = todo.pop()) {
      if (name === '' || name === '.') continue;
      if (name === '..') {
        if (done.length > 1) done.pop();
        continue;
      }
      const node = done.at(-1)?.children?.get(name);
      if (node === undefined) return undefined;
      const { kind, link } = node.inode.entry;
      if (kind !== 'symbolic link') {
        done.push(node);
        continue;
      }
      links += 1;
      // As a path that an image has: long links may not be followed a million times.
      this.#pathBytes += link.length;
      if (links > MOST_LINKS) return undefined;
      if (link.startsWith('/')) done.splice(1);
      todo.push(...link.split('/').reverse());
    }
    return done;
  }

  /** Puts a file in place of what is there, with content that is not from a layer. */
  replace(path: ByteString, size: number): Inode {
    const { entry } = this.find(path)?.inode ?? { entry: { ...IMPLICIT, mode: 0o644 } };
    const { sparse: _, ...plain } = entry;
    this.beginLayer();
    const inode = this.add({ ...plain, path, kind: 'file', size });
    if (inode === undefined) throw badImage(`${shown(path)} cannot be written`);
    return inode;
  }

  #inode(entry: TarEntry): Inode {
    return { entry, layer: this.#layer, position: this.#position };
  }

  #leaf(entry: TarEntry): Node {
    return { inode: this.#inode(entry), layer: this.#layer, children: undefined };
  }

  #directory(entry: TarEntry): Node {
    return { inode: this.#inode(entry), layer: this.#layer, children: new Map() };
  }

  #describe(node: Node, entry: TarEntry): Inode {
    node.inode = this.#inode(entry);
    node.layer = this.#layer;
    return node.inode;
  }

  /**
   * The directory of an entry. Its path may lead through links of the layers below, as where other programs unpack a layer: /bin is
   * one in Debian. A directory replaces whatever else is below.
   */
  #parent(entry: TarEntry, names: readonly ByteString[]): Map<ByteString, Node> {
    let way: Node[] = [this.root];
    for (const name of names) {
      const children = way.at(-1)?.children;
      let node = children?.get(name);
      if (node?.children === undefined) {
        if (node !== undefined && node.layer === this.#layer) {
          refuse(entry, `it would be written through a ${node.inode.entry.kind}`);
        }
        const linked = node === undefined ? undefined : this.#walk(name, way);
        if (linked?.at(-1)?.children !== undefined) {
          way = linked;
          continue;
        }
        node = this.#directory({ ...IMPLICIT, mtime: entry.mtime });
        children?.set(name, node);
      }
      way.push(node);
    }
    return way.at(-1)?.children ?? new Map();
  }

  #target(entry: TarEntry): Inode {
    const path = cleanPath(fromRoot(entry.link), () =>
      refuse(entry, `it is a hard link to ${shown(entry.link)}, outside of the image`),
    );
    const node = this.#lookUp(path);
    if (node === undefined)
      refuse(entry, `it is a hard link to ${shown(path)}, which is not in the layers before it`);
    if (node.children !== undefined) refuse(entry, `it is a hard link to the directory ${shown(path)}`);
    return node.inode;
  }

  /** Follows links of its directories only, as link(2). */
  #lookUp(path: ByteString): Node | undefined {
    const slash = path.lastIndexOf('/');
    return this.follow(path.slice(0, Math.max(slash, 0)))?.children?.get(path.slice(slash + 1));
  }

  #whiteOut(entry: TarEntry, names: readonly ByteString[], name: ByteString): void {
    const hidden = name.slice(WHITEOUT.length);
    if (name !== OPAQUE && ['', '.', '..'].includes(hidden)) refuse(entry, 'it is a whiteout without a name');
    const above = this.follow(names.join('/'))?.children;
    if (above === undefined) return;
    for (const [each, node] of name === OPAQUE ? [...above] : [[hidden, above.get(hidden)] as const]) {
      if (node !== undefined && !this.#keepUpper(node)) above.delete(each);
    }
  }

  /** Removes what layers below have; gives whether the node has anything of this layer. */
  #keepUpper(node: Node): boolean {
    const { children } = node;
    for (const [name, child] of children ?? []) if (!this.#keepUpper(child)) children?.delete(name);
    if (node.layer === this.#layer) return true;
    if (children === undefined || children.size === 0) return false;
    node.inode = this.#inode({ ...IMPLICIT });
    return true;
  }

  #count(path: ByteString, entry: TarEntry): void {
    this.#entries += 1;
    this.#bytes += entry.sparse?.size ?? entry.size;
    this.#pathBytes += path.length;
    const { maxBytes, maxEntries } = this.#limits;
    const tooMany =
      this.#entries > maxEntries
        ? `more than ${maxEntries} files`
        : this.#bytes > maxBytes
          ? `more than ${maxBytes} bytes of files`
          : this.#pathBytes > ALL_PATHS
            ? `more than ${ALL_PATHS} bytes of paths`
            : undefined;
    if (tooMany === undefined) return;
    throw badImage(`the layers have ${tooMany} (${shown(path)} is the first too many)`, {
      code: 'TOO_LARGE',
      remedy: 'use an image with less in it',
    });
  }
}

/** Some tools begin the names in a layer with a slash. */
function fromRoot(path: ByteString): ByteString {
  return path.replace(/^\/+/, '') || '.';
}

/** A directory that no layer describes. */
const IMPLICIT: TarEntry = {
  ...{ kind: 'directory', path: '', mode: 0o755, uid: 0, gid: 0, mtime: '0' },
  ...{ size: 0, link: '', attributes: new Map() },
};

function check(entry: TarEntry): void {
  const { kind, size, link, uid, gid, device } = entry;
  if (kind === 'unknown') refuse(entry, 'it is of an unknown kind');
  if (kind !== 'file' && size > 0) refuse(entry, 'it has content, but is not a file');
  if (kind === 'symbolic link' && (link === '' || link.length > LONGEST_TARGET)) {
    refuse(entry, 'it is a symbolic link without a usable target');
  }
  if (kind === 'character device' && device?.[0] === 0 && device[1] === 0) {
    refuse(entry, 'it is a whiteout of an overlay, not one of a layer');
  }
  for (const id of [uid, gid])
    if (id < 0 || id > LARGEST_ID) refuse(entry, `its owner ${id} is not a valid id`);
}

function refuse(entry: TarEntry, why: string): never {
  throw badImage(`${shown(entry.path)} is refused: ${why}`, {
    code: 'ENTRY_REFUSED',
    remedy: 'use an image without it',
  });
}
