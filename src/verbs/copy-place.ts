/** A word of `cp`: a path of the host, `NAME:PATH` in a testbed, or `-` for a tar archive. */
export type Place =
  | { readonly kind: 'archive' }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'testbed'; readonly name: string; readonly path: string; readonly word: string };

/** A word with a slash before its first colon is a path of the host, as `./a:b`. */
export function placeOfWord(word: string): Place {
  if (word === '-') return { kind: 'archive' };
  const [, name, path] = /^([^/:]+):(.*)$/s.exec(word) ?? [];
  if (name === undefined || path === undefined || name.startsWith('.')) return { kind: 'file', path: word };
  // A relative path starts in /, as the commands of a testbed do.
  return { kind: 'testbed', name, path: path.startsWith('/') ? path : `/${path}`, word };
}
