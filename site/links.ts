/** What a link of a page leads to in the site. */
import { existsSync, statSync } from 'node:fs';
import { posix } from 'node:path';

export interface Places {
  readonly project: string;
  /** Address of the repository, for files that are no pages. */
  readonly repository: string;
  /** Pages and pictures: their paths in the project, and in the site. */
  readonly targets: ReadonlyMap<string, string>;
  /** Names of pages, by their paths in the project. */
  readonly names: ReadonlyMap<string, string>;
}

/** @param source the path of the page with the link, in the project */
export function resolveLink({ project, repository, targets }: Places, source: string, link: string): string {
  if (/^[a-z]+:/.test(link) || link.startsWith('#')) return link;
  const [, hash] = link.split('#');
  const file = fileOf(source, link);
  const target = targets.get(file);
  const anchor = hash === undefined ? '' : `#${hash}`;
  if (target !== undefined) return target + anchor;
  if (file.startsWith('..') || !existsSync(`${project}/${file}`)) {
    throw new Error(`${source} links to ${link}, which does not exist`);
  }
  const kind = statSync(`${project}/${file}`).isDirectory() ? 'tree' : 'blob';
  return `${repository}/${kind}/main/${file}${anchor}`;
}

/** The name of the page that a link leads to. */
export function nameOfPage({ names }: Places, source: string, link: string): string | undefined {
  return names.get(fileOf(source, link));
}

/** The path in the project of what a link leads to. */
function fileOf(source: string, link: string): string {
  const [path = ''] = link.split('#');
  return posix.normalize(posix.join(posix.dirname(source), path)).replace(/\/$/, '');
}
