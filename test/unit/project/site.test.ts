/** `npm run docs` makes a site of all pages, in which each link leads to something. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deadLinks, factsOf } from '../../../site/check.ts';
import { sectionsOf, sourcesIn, targetOf } from '../../../site/pages.ts';
import { call } from '../../support/program.ts';
import { projectDir } from '../../support/rootfs.ts';

describe('the check of links', () => {
  let site: string;
  beforeEach(() => {
    site = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-site-'));
    writeFileSync(join(site, 'there.html'), '<h2 id="a-b">A b</h2><a name="old">x</a>');
  });
  afterEach(() => rmSync(site, { recursive: true }));

  const check = (html: string): string[] => {
    writeFileSync(join(site, 'page.html'), html);
    return deadLinks(site);
  };

  it('finds a link to a file that is not there', () => {
    assert.deepEqual(check('<a href="gone.html">x</a>'), ['page.html: gone.html']);
  });
  it('finds a picture that is not there', () => {
    assert.deepEqual(check('<img src="gone.svg">'), ['page.html: gone.svg']);
  });
  it('finds an anchor that is not there, in this and in another page', () => {
    assert.deepEqual(check('<a href="#b">x</a><a href="there.html#b">x</a>'), [
      'page.html: #b',
      'page.html: there.html#b',
    ]);
  });
  it('accepts what is there, and other sites', () => {
    const links = ['there.html', 'there.html#a-b', 'there.html#old', '#here', 'https://example.org/#x'];
    assert.deepEqual(check(`<p id="here">${links.map((link) => `<a href="${link}">x</a>`).join('')}`), []);
  });
});

describe('npm run docs', function () {
  this.timeout('2m');
  let site: string;
  before(async () => {
    site = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-site-'));
    const argv = [process.execPath, '--import', 'tsx', 'site/build.ts', site] as const;
    const { status, stderr } = await call(argv, { cwd: projectDir });
    assert.equal(status, 0, stderr);
  });
  after(() => rmSync(site, { recursive: true }));

  it('makes a page of each document, which the start page leads to', () => {
    const { links } = factsOf(readFileSync(join(site, 'index.html'), 'utf8'));
    const missing = sourcesIn(projectDir)
      .map(targetOf)
      .filter((target) => !existsSync(join(site, target)) || !links.includes(target));
    assert.deepEqual(missing, []);
    assert.ok(sectionsOf(sourcesIn(projectDir)).flatMap(({ pages }) => pages).length > 12);
  });

  it('names each page once, and in links whose text is a file name', () => {
    const sources = sectionsOf(sourcesIn(projectDir)).flatMap(({ pages }) =>
      pages.map(({ source }) => source),
    );
    assert.deepEqual(
      sources.filter((source, index) => sources.indexOf(source) !== index),
      [],
    );
    const html = readFileSync(join(site, 'library.html'), 'utf8');
    assert.match(html, /<a href="install\.html">Install<\/a>/);
    assert.doesNotMatch(html, /<a [^>]*>[\w/-]+\.md<\/a> says/);
  });

  it('keeps words in angle brackets, which Markdown takes for HTML outside of code', () => {
    const text = readFileSync(join(site, 'troubleshooting.html'), 'utf8');
    assert.match(text, /the program &lt;name&gt; is missing/);
    const known = new Set(['picture', 'source', 'img', 'br', 'http', 'https']);
    for (const source of sourcesIn(projectDir)) {
      const prose = readFileSync(join(projectDir, source), 'utf8')
        .replaceAll(/^```.*?^```/gms, '')
        .replaceAll(/^ {4}.*$/gm, '')
        .replaceAll(/(`+)[^`].*?\1/gs, '');
      const found = [...prose.matchAll(/<(\w+)/g)].map(([, name = '']) => name);
      assert.deepEqual(
        found.filter((name) => !known.has(name)),
        [],
        source,
      );
    }
  });

  it('makes a page of each manual page, with links between them', () => {
    for (const name of readdirSync(join(projectDir, 'dist/man'))) {
      const html = readFileSync(join(site, 'man', name.replace(/1$/, 'html')), 'utf8');
      assert.match(html, /id="SYNOPSIS"/);
    }
    const { links } = factsOf(readFileSync(join(site, 'man/virt-ts-unshare-run.html'), 'utf8'));
    assert.ok(links.includes('autopkgtest-virt-ts-unshare.html'), links.join(' '));
  });

  it('makes a reference of all that the library exports', () => {
    const names = [
      ...readFileSync(join(projectDir, 'src/index.ts'), 'utf8').matchAll(/^ {2}(?:type )?(\w+),$/gm),
    ];
    const pages = readdirSync(join(site, 'api'), { recursive: true, encoding: 'utf8' }).join('\n');
    assert.ok(names.length > 30, `${names.length}`);
    assert.deepEqual(
      names.map(([, name = '']) => name).filter((name) => !pages.includes(`/${name}.html`)),
      [],
    );
  });

  it('has no link that leads to nothing', () => assert.deepEqual(deadLinks(site), []));
});
