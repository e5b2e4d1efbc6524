/** The frame of each page: header with the search, navigation, contents of the page. */
import type { Heading } from './markdown.ts';
import type { Section } from './pages.ts';

export interface Frame {
  readonly sections: readonly NamedSection[];
  readonly version: string;
  readonly repository: string;
}

/** A section whose pages have their final names. */
export interface NamedSection {
  readonly title: Section['title'];
  readonly pages: readonly { readonly target: string; readonly name: string }[];
}

export interface Content {
  readonly target: string;
  readonly title: string;
  readonly html: string;
  readonly headings: readonly Heading[];
  /** Path of the source in the project, which the page links to. */
  readonly source?: string;
}

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

export function pageOf({ sections, version, repository }: Frame, content: Content): string {
  const { target, title, html, headings, source } = content;
  const root = '../'.repeat(target.split('/').length - 1);
  const all = sections.flatMap(({ pages }) => pages);
  const index = all.findIndex((page) => page.target === target);
  const neighbour = (at: number, word: string) => {
    const page = index < 0 ? undefined : all[at];
    return page === undefined
      ? '<span></span>'
      : `<a href="${root}${page.target}" rel="${word}"><small>${word === 'prev' ? 'Previous' : 'Next'}</small>${escapeHtml(page.name)}</a>`;
  };
  const suffix = target === 'index.html' ? '' : ' – virt-ts-unshare';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}${suffix}</title>
<link rel="icon" href="${root}assets/icon.svg">
<link rel="stylesheet" href="${root}assets/style.css">
<script src="${root}assets/search.js" data-root="${root}" defer></script>
</head>
<body>
<a class="skip" href="#content">To the text</a>
<header>
<a class="brand" href="${root}index.html">virt-ts-unshare</a> <span class="version">${version}</span>
<div class="search"><input type="search" placeholder="Search" aria-label="Search" autocomplete="off"><ol hidden></ol></div>
<a class="repository" href="${repository}">Source</a>
</header>
<div class="columns">
<nav aria-label="Pages">
<details class="menu">
<summary>Pages</summary>
${sections.map((section) => navigation(section, target, root)).join('\n')}
</details>
</nav>
<main id="content">
<article>
${html}
</article>
<footer>
<div class="neighbours">${neighbour(index - 1, 'prev')}${neighbour(index + 1, 'next')}</div>
${source === undefined ? '' : `<p>Made from <a href="${repository}/blob/main/${source}">${source}</a>.</p>`}
</footer>
</main>
${contentsOf(headings)}
</div>
</body>
</html>
`;
}

function navigation({ title, pages }: NamedSection, target: string, root: string): string {
  if (pages.length === 0) return '';
  const items = pages.map((page) => {
    const current = page.target === target ? ' aria-current="page"' : '';
    return `<li><a href="${root}${page.target}"${current}>${escapeHtml(page.name)}</a></li>`;
  });
  return `<section><p>${title}</p>\n<ul>\n${items.join('\n')}\n</ul></section>`;
}

/** The headings of a page with several. */
function contentsOf(headings: readonly Heading[]): string {
  const shown = headings.filter(({ level }) => level === 2 || level === 3);
  if (shown.length < 3) return '<aside></aside>';
  const items = shown.map(
    ({ level, id, title }) =>
      `<li class="level${level}"><a href="#${encodeURIComponent(id)}">${escapeHtml(title)}</a></li>`,
  );
  return `<aside aria-label="On this page"><p>On this page</p>\n<ul>\n${items.join('\n')}\n</ul></aside>`;
}
