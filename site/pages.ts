/** Which files of the project are pages of the site, and where they stand in its navigation. */
import { readdirSync } from 'node:fs';

export interface Page {
  /** Path in the project. */
  readonly source: string;
  /** Path in the site. */
  readonly target: string;
  /** Short name for the navigation. Default: the title of the page. */
  readonly name?: string;
}

export interface Section {
  readonly title: string;
  readonly pages: readonly Page[];
}

/** The short name of each page, in the order of the navigation. Pages that do not exist are left out. */
const ORDER: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Start: {
    'README.md': 'Overview',
    'docs/install.md': 'Install',
    'docs/drivers.md': 'With a driver',
    'docs/testing-packages.md': 'Tests of packages',
    'docs/manual.md': 'By hand',
    'docs/library.md': 'The library',
  },
  Guides: {
    'docs/images.md': 'Images',
    'docs/networks.md': 'Networks and laboratories',
    'docs/init.md': 'Testbeds with systemd',
    'docs/evidence.md': 'Events and reports',
    'docs/farm.md': 'Farms and CI',
    'docs/migration.md': 'From other tools',
    'docs/releases.md': 'Releases and architectures',
    'docs/troubleshooting.md': 'Troubleshooting',
  },
  Reference: {
    'protocol.md': 'The protocol',
    'docs/copying.md': 'Copies',
    'docs/callers.md': 'Callers and protection',
    'docs/security.md': 'Security',
  },
  Comparison: {
    'docs/comparison.md': 'With other tools',
    'docs/benchmarks.md': 'How fast',
  },
  Project: {
    'docs/architecture.md': 'Architecture',
    'docs/fuzzing.md': 'Fuzzing',
    'CONTRIBUTING.md': 'Contributing',
    'CHANGELOG.md': 'Changes',
  },
};

/** A page of docs/ that ORDER does not name yet is not lost. */
const OTHERS = 'Guides';

/** Where a file of the project that is a page is in the site. */
export function targetOf(source: string): string {
  if (source === 'README.md') return 'index.html';
  return source
    .replace(/^docs\//, '')
    .replace(/\.md$/, '.html')
    .toLowerCase();
}

/** @param sources the files that are there */
export function sectionsOf(sources: readonly string[]): Section[] {
  const named = new Set(Object.values(ORDER).flatMap(Object.keys));
  return Object.entries(ORDER).map(([title, names]) => {
    const pages = Object.entries(names)
      .filter(([source]) => sources.includes(source))
      .map(([source, name]): Page => ({ source, target: targetOf(source), name }));
    const others = title === OTHERS ? sources.filter((source) => !named.has(source)) : [];
    return { title, pages: [...pages, ...others.map((source) => ({ source, target: targetOf(source) }))] };
  });
}

/** The pages of a checkout. */
export function sourcesIn(project: string): string[] {
  const docs = readdirSync(`${project}/docs`).filter((name) => name.endsWith('.md'));
  return [
    'README.md',
    'protocol.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
    ...docs.map((name) => `docs/${name}`),
  ];
}
