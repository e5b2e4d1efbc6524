/** A page of Markdown becomes HTML, with the anchors that GitHub gives it, so that links work in both places. */
import GithubSlugger from 'github-slugger';
import hljs from 'highlight.js/lib/core';
import bash from 'highlight.js/lib/languages/bash';
import json from 'highlight.js/lib/languages/json';
import typescript from 'highlight.js/lib/languages/typescript';
import yaml from 'highlight.js/lib/languages/yaml';
import MarkdownIt, { type Token } from 'markdown-it';
import anchor from 'markdown-it-anchor';

hljs.registerLanguage('sh', bash);
hljs.registerLanguage('json', json);
hljs.registerLanguage('ts', typescript);
hljs.registerLanguage('yaml', yaml);

export interface Heading {
  readonly level: number;
  readonly id: string;
  readonly title: string;
}

/** The text below one heading, for the search. */
export interface Passage {
  readonly id: string;
  readonly title: string;
  readonly text: string;
}

export interface Rendered {
  readonly html: string;
  readonly title: string;
  readonly headings: readonly Heading[];
  readonly passages: readonly Passage[];
}

export interface Links {
  /** What a link or picture of the page leads to in the site. */
  readonly to: (link: string) => string;
  /** The name of the page that a link leads to, for links whose text is a file name. */
  readonly nameOf: (link: string) => string | undefined;
}

export function render(text: string, { to, nameOf }: Links): Rendered {
  const slugger = new GithubSlugger();
  const markdown = new MarkdownIt({
    html: true,
    highlight: (code, language) =>
      hljs.getLanguage(language) ? hljs.highlight(code, { language }).value : '',
  }).use(anchor, { slugify: (title: string) => slugger.slug(title), tabIndex: false });
  // Wide tables scroll by themselves.
  markdown.renderer.rules.table_open = () => '<div class="table"><table>\n';
  markdown.renderer.rules.table_close = () => '</table></div>\n';

  const tokens = markdown.parse(text, {});
  const all = tokens.flatMap((each) => [each, ...(each.children ?? [])]);
  for (const [index, token] of all.entries()) {
    const words = all[index + 1];
    if (token.type === 'link_open' && words?.type === 'text' && /^[\w/-]+\.md$/.test(words.content))
      words.content = nameOf(String(token.attrGet('href'))) ?? words.content;
    for (const name of ['href', 'src']) {
      const link = token.attrGet(name);
      if (link !== null) token.attrSet(name, to(String(link)));
    }
    if (token.type === 'html_block' || token.type === 'html_inline') {
      token.content = token.content.replace(
        /\b(src|srcset|href)="([^"]*)"/g,
        (_, name: string, link: string) => `${name}="${to(link)}"`,
      );
    }
  }
  const headings = headingsOf(tokens);
  return {
    html: markdown.renderer.render(tokens, markdown.options, {}),
    title: headings.find(({ level }) => level === 1)?.title ?? '',
    headings,
    passages: passagesOf(tokens),
  };
}

function headingsOf(tokens: readonly Token[]): Heading[] {
  return tokens.flatMap((token, index) =>
    token.type === 'heading_open'
      ? {
          level: Number(token.tag.slice(1)),
          id: String(token.attrGet('id') ?? ''),
          title: plain(tokens[index + 1]),
        }
      : [],
  );
}

function passagesOf(tokens: readonly Token[]): Passage[] {
  const passages: { id: string; title: string; text: string }[] = [];
  for (const [index, token] of tokens.entries()) {
    if (token.type === 'heading_open') {
      passages.push({ id: String(token.attrGet('id') ?? ''), title: plain(tokens[index + 1]), text: '' });
    } else if (tokens[index - 1]?.type !== 'heading_open') {
      const last = passages.at(-1);
      if (last !== undefined) last.text += `${plain(token)} `;
    }
  }
  return passages.map((passage) => ({ ...passage, text: passage.text.replaceAll(/\s+/g, ' ').trim() }));
}

/** The words of a token, without its markup. */
function plain(token: Token | undefined): string {
  if (token === undefined) return '';
  const children = token.children ?? [];
  return children.length === 0 ? token.content : children.map(plain).join('');
}
