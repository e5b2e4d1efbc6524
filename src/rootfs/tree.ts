/** Looks into the tree of a root filesystem without following a link out of it. */
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { systemCodeOf } from '../errors.ts';

const MAX_LINKS = 40;

export type Found =
  | { readonly kind: 'found'; readonly path: string; readonly stats: Stats }
  | { readonly kind: 'missing' }
  | { readonly kind: 'hidden' };

/** What the absolute `path` names in the tree at `root`. Links are followed as if the tree were the root directory. */
export function findInTree(root: string, path: string): Found {
  const todo = path.split('/').reverse();
  const done: string[] = [];
  let links = 0;
  for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
    if (name === '' || name === '.') continue;
    if (name === '..') {
      done.pop();
      continue;
    }
    const at = [root, ...done, name].join('/');
    const looked = look(at);
    if (looked.kind !== 'found') return looked;
    if (!looked.stats.isSymbolicLink()) {
      done.push(name);
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) return { kind: 'missing' };
    const target = readlinkSync(at);
    if (target.startsWith('/')) done.length = 0;
    todo.push(...target.split('/').reverse());
  }
  return look([root, ...done].join('/'));
}

function look(path: string): Found {
  try {
    return { kind: 'found', path, stats: lstatSync(path) };
  } catch (error) {
    return systemCodeOf(error) === 'EACCES' ? { kind: 'hidden' } : { kind: 'missing' };
  }
}

/** The end of a sentence; undefined when it looks like a root filesystem or cannot be read. */
export function whyNoRoot(root: string): string | undefined {
  const shell = findInTree(root, '/bin/sh');
  if (shell.kind === 'missing') return 'it has no /bin/sh';
  if (shell.kind === 'found' && !(shell.stats.isFile() && (shell.stats.mode & 0o111) !== 0)) {
    return 'its /bin/sh is no program';
  }
  return undefined;
}
