/** Finds links of a built site that lead to no file, or to no anchor of it. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { Parser } from 'htmlparser2';

interface Facts {
  readonly links: readonly string[];
  readonly ids: ReadonlySet<string>;
}

/** What a page links to, and the anchors that it has. */
export function factsOf(html: string): Facts {
  const links: string[] = [];
  const ids = new Set<string>();
  const parser = new Parser({
    onopentag(name, { href, src, id, name: anchor }) {
      for (const link of [href, src]) if (link !== undefined) links.push(link);
      if (id !== undefined) ids.add(id);
      if (name === 'a' && anchor !== undefined) ids.add(anchor);
    },
  });
  parser.end(html);
  return { links, ids };
}

/** @returns a line for each dead link */
export function deadLinks(site: string): string[] {
  const pages = new Map(
    readdirSync(site, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(html|svg)$/.test(name))
      .map((name) => [join(site, name), factsOf(readFileSync(join(site, name), 'utf8'))]),
  );
  return [...pages].flatMap(([page, { links }]) =>
    links
      .filter((link) => !/^[a-z]+:/.test(link))
      .filter((link) => {
        const [path = '', hash = ''] = link.split('#').map(decodeURIComponent);
        const there = path === '' ? page : resolve(dirname(page), path);
        const file = existsSync(there) && statSync(there).isDirectory() ? join(there, 'index.html') : there;
        if (!existsSync(file)) return true;
        return hash !== '' && !pages.get(file)?.ids.has(hash);
      })
      .map((link) => `${relative(site, page)}: ${link}`),
  );
}
