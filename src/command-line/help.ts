import { type Owner, written } from './given.ts';
import type { Option } from './options/option.ts';
import { PAGES } from './pages.ts';
import { helpOf, optionsOf } from './table.ts';

const WIDTH = 80;
const NARROWEST = 40;

/** @param columns of the terminal, if it is one */
export function helpText(owner: Owner, columns = WIDTH): string {
  const layout = layoutOf(columns);
  const wrapped = (text: string) => wrap(text, 0, layout.width);
  const entry = (label: string, help: string) => entryOf(label, help, layout);
  const { usage, text, commands = [], notes = [], examples } = PAGES[owner];
  const [first = '', ...more] = usage;
  const sections = [
    [`Usage: ${first}\n`, ...more.map((line) => `       ${line}\n`)].join(''),
    wrapped(text),
    section(
      'Commands',
      commands.map(([words, help]) => entry(words, help)),
    ),
    ...optionSections(owner, layout),
    ...(owner === 'server' ? [section('Verbs', verbs(layout))] : []),
    ...notes.map(wrapped),
    section(
      examples.length === 1 ? 'Example' : 'Examples',
      examples.map((line) => `  ${line}\n`),
    ),
  ];
  return sections.filter((part) => part !== '').join('\n');
}

interface Layout {
  readonly width: number;
  /** Where the help of an option starts. */
  readonly indent: number;
}

function layoutOf(columns: number): Layout {
  const width = Math.min(WIDTH, Math.max(NARROWEST, columns));
  return { width, indent: width < 60 ? 8 : 28 };
}

function optionSections(owner: Owner, layout: Layout): string[] {
  const isTestbed = owner === 'run' || owner === 'shell';
  const shown = optionsOf(owner).filter(
    ({ group }) => !isTestbed || (group !== 'Root filesystem' && group !== 'Testbed'),
  );
  const groups = [...new Set(shown.map(({ group }) => group))];
  return groups.map((group) =>
    section(
      group === 'Other options' && groups.length === 1 ? 'Options' : group,
      shown.filter((option) => option.group === group).map((option) => describe(owner, option, layout)),
    ),
  );
}

function describe(owner: Owner, option: Option, layout: Layout): string {
  const letter = option.short === undefined ? '   ' : `-${option.short},`;
  return entryOf(`${letter} ${written(option)}`, helpOf(owner, option), layout);
}

function verbs(layout: Layout): string[] {
  return Object.entries(PAGES)
    .filter(([name]) => name !== 'server')
    .map(([, { usage, summary }]) => entryOf((usage[0] ?? '').replace(/^\S+ /, ''), summary, layout));
}

function entryOf(label: string, help: string, { width, indent }: Layout): string {
  const text = wrap(help, indent, width);
  return label.length < indent - 3 ? `  ${label}`.padEnd(indent) + text.slice(indent) : `  ${label}\n${text}`;
}

function section(heading: string, entries: readonly string[]): string {
  return entries.length === 0 ? '' : `${heading}:\n${entries.join('')}`;
}

function wrap(text: string, indent: number, width: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > width) {
      lines.push(line);
      line = '';
    }
    line += `${line === '' ? '' : ' '}${word}`;
  }
  return [...lines, line].map((each) => `${' '.repeat(indent)}${each}\n`).join('');
}
