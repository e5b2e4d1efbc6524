/** What is written of a tree: directories first, then what has no content, files in the order of the layers, hard links last. */
import type { ByteString } from '../../archive/bytes.ts';
import type { TarEntry } from '../../archive/tar-entry.ts';
import type { Inode, LayerTree, Node } from './tree.ts';

interface Plan {
  readonly first: readonly TarEntry[];
  /** Of each layer: where the file with a number is written. */
  readonly files: ReadonlyMap<number, ReadonlyMap<number, ByteString>>;
  readonly links: readonly TarEntry[];
  /** Bytes of all files. */
  readonly size: number;
}

export function planTree(tree: LayerTree): Plan {
  const directories: TarEntry[] = [];
  const others: TarEntry[] = [];
  const links: TarEntry[] = [];
  const files = new Map<number, Map<number, ByteString>>();
  const written = new Map<Inode, ByteString>();
  let size = 0;
  const visit = (path: ByteString, { inode, children }: Node): void => {
    const { entry, layer, position } = inode;
    const placed: TarEntry = { ...entry, path, attributes: keptAttributes(entry) };
    if (children !== undefined) {
      directories.push({ ...placed, path: `${path}/` });
      for (const name of [...children.keys()].sort()) {
        const child = children.get(name);
        if (child !== undefined) visit(`${path}/${name}`, child);
      }
      return;
    }
    const first = written.get(inode);
    if (first !== undefined) {
      const { sparse: _, device: __, ...plain } = placed;
      links.push({ ...plain, kind: 'hard link', link: first, size: 0, attributes: new Map() });
      return;
    }
    written.set(inode, path);
    if (entry.kind !== 'file') {
      others.push(placed);
      return;
    }
    size += entry.size;
    const ofLayer = files.get(layer) ?? new Map<number, ByteString>();
    files.set(layer, ofLayer.set(position, path));
  };
  visit('.', tree.root);
  return { first: [...directories, ...others], files, links, size };
}

/** Those of an overlay would change the testbed's, and labels of security modules mean nothing there. */
export function keptAttributes({ attributes }: TarEntry): TarEntry['attributes'] {
  if (attributes.size === 0) return attributes;
  const kept = [...attributes].filter(
    ([key]) => KEPT.test(key) && !key.startsWith('SCHILY.xattr.user.overlay.'),
  );
  return new Map(kept);
}

const KEPT = /^SCHILY\.xattr\.(user\.|security\.capability$|system\.posix_acl_(access|default)$)/;

/** Why a program of the tree cannot be executed, as the end of a sentence. */
export function whyNoProgram(tree: LayerTree, program: string): string | undefined {
  const found = tree.follow(program)?.inode.entry;
  if (found === undefined) return `it has no ${program}`;
  return found.kind === 'file' && (found.mode & 0o111) !== 0 ? undefined : `its ${program} is no program`;
}
