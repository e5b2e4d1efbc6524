/** Builds the site: `npm run docs [-- DIRECTORY]`, default build/site. Fails when a link leads to nothing. */
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeReference } from './api.ts';
import { deadLinks } from './check.ts';
import { type Content, type Frame, type NamedSection, pageOf } from './layout.ts';
import { nameOfPage, type Places, resolveLink } from './links.ts';
import { manualsIn, manualTarget, renderManual } from './man.ts';
import { type Passage, render } from './markdown.ts';
import { type Page, sectionsOf, sourcesIn } from './pages.ts';

const PROJECT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const ASSETS = ['style.css', 'search.js', 'icon.svg'];

interface Entry {
  readonly url: string;
  readonly page: string;
  readonly title: string;
  readonly text: string;
}

interface Built {
  readonly content: Content;
  readonly name: string;
  readonly entries: readonly Entry[];
}

function entriesOf(target: string, page: string, passages: readonly Passage[]): Entry[] {
  return passages.map(({ id, title, text }) => ({ url: `${target}#${id}`, page, title, text }));
}

function buildPage(places: Places, { source, target, name }: Page): Built {
  const text = readFileSync(`${PROJECT}/${source}`, 'utf8');
  const { html, title, headings, passages } = render(text, {
    to: (link) => resolveLink(places, source, link),
    nameOf: (link) => nameOfPage(places, source, link),
  });
  const short = name ?? title;
  return {
    content: { source, target, title, html, headings },
    name: short,
    entries: entriesOf(target, short, passages),
  };
}

function buildManual(name: string): Built {
  const target = manualTarget(name);
  const html = renderManual(`${PROJECT}/dist/man`, name);
  const text = html.replaceAll(/<[^>]*>/g, ' ').replaceAll(/\s+/g, ' ');
  const content = {
    target,
    title: `${name}(1)`,
    html: `<h1>${name}(1)</h1>\n<div class="manual">\n${html}</div>`,
    headings: [],
  };
  return {
    content,
    name: `${name}(1)`,
    entries: [{ url: target, page: 'Manual page', title: content.title, text }],
  };
}

/** The names that the library exports, by the files of its reference. */
function referenceEntries(out: string): Entry[] {
  const folders = ['classes', 'interfaces', 'types', 'functions'];
  return folders.flatMap((folder) =>
    readdirSync(join(out, 'api', folder)).map((file) => ({
      url: `api/${folder}/${file}`,
      page: 'API reference',
      title: basename(file, '.html'),
      text: '',
    })),
  );
}

export function buildSite(out: string): void {
  const { version, homepage } = JSON.parse(readFileSync(`${PROJECT}/package.json`, 'utf8'));
  const repository = String(homepage).replace(/#.*$/, '');
  rmSync(out, { recursive: true, force: true });
  mkdirSync(join(out, 'assets'), { recursive: true });

  const sources = sourcesIn(PROJECT);
  const sections = sectionsOf(sources);
  const pictures = readdirSync(`${PROJECT}/docs`).filter((name) => /\.(svg|png)$/.test(name));
  for (const name of pictures) copyFileSync(`${PROJECT}/docs/${name}`, join(out, name));
  const targets = new Map([
    ...sections.flatMap(({ pages }) => pages).map(({ source, target }) => [source, target] as const),
    ...pictures.map((name) => [`docs/${name}`, name] as const),
  ]);
  const names = new Map(
    sections
      .flatMap(({ pages }) => pages)
      .flatMap(({ source, name }) => (name === undefined ? [] : [[source, name] as const])),
  );
  const places = { project: PROJECT, repository, targets, names };

  const manuals = manualsIn(`${PROJECT}/dist/man`).map(buildManual);
  const built = sections.map(({ title, pages }) => ({
    title,
    pages: pages.map((page) => buildPage(places, page)),
  }));
  const named: NamedSection[] = built.map(({ title, pages }) => ({
    title,
    pages: [
      ...(title === 'Reference' ? [{ target: 'api/index.html', name: 'API of the library' }] : []),
      ...pages.map(({ content, name }) => ({ target: content.target, name })),
    ],
  }));
  const commands = {
    title: 'Manual pages',
    pages: manuals.map(({ content, name }) => ({ target: content.target, name })),
  };
  const frame: Frame = { sections: [...named, commands], version: String(version), repository };
  const all = [...built.flatMap(({ pages }) => pages), ...manuals];
  for (const { content } of all) {
    const path = join(out, content.target);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, pageOf(frame, content));
  }

  for (const name of ASSETS) copyFileSync(`${PROJECT}/site/${name}`, join(out, 'assets', name));
  cpSync(`${PROJECT}/node_modules/minisearch/dist/umd/index.js`, join(out, 'assets/minisearch.js'));
  writeReference(PROJECT, join(out, 'api'), repository);
  const entries = [...all.flatMap((page) => page.entries), ...referenceEntries(out)];
  // A script, because a page that was opened as a file cannot fetch one.
  writeFileSync(join(out, 'assets/entries.js'), `window.searchEntries = ${JSON.stringify(entries)};\n`);

  const dead = deadLinks(out);
  if (dead.length > 0) throw new Error(`links that lead to nothing:\n${dead.join('\n')}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const out = resolve(process.argv[2] ?? join(PROJECT, 'build/site'));
  try {
    buildSite(out);
    console.log(join(out, 'index.html'));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
