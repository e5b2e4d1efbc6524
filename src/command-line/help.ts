import { type Owner, written } from './given.ts';
import { PAGES } from './pages.ts';
import { type Option, optionsOf } from './table.ts';

const WIDTH = 80;
const INDENT = 28;

export function helpText(owner: Owner): string {
  const { usage, text, commands = [], notes = [], examples } = PAGES[owner];
  const [first = '', ...more] = usage;
  const sections = [
    [`Usage: ${first}\n`, ...more.map((line) => `       ${line}\n`)].join(''),
    wrapped(text, 0),
    section(
      'Commands',
      commands.map(([words, help]) => entry(words, help)),
    ),
    ...optionSections(owner),
    ...(owner === 'server' ? [section('Verbs', verbs())] : []),
    ...notes.map((note) => wrapped(note, 0)),
    section(
      examples.length === 1 ? 'Example' : 'Examples',
      examples.map((line) => `  ${line}\n`),
    ),
  ];
  return sections.filter((part) => part !== '').join('\n');
}

function optionSections(owner: Owner): string[] {
  const isTestbed = owner === 'run' || owner === 'shell';
  const shown = optionsOf(owner).filter(
    ({ group }) => !isTestbed || (group !== 'Root filesystem' && group !== 'Testbed'),
  );
  const groups = [...new Set(shown.map(({ group }) => group))];
  return groups.map((group) =>
    section(
      group === 'Other options' && groups.length === 1 ? 'Options' : group,
      shown.filter((option) => option.group === group).map((option) => describe(owner, option)),
    ),
  );
}

function describe(owner: Owner, option: Option): string {
  const letter = option.short === undefined ? '   ' : `-${option.short},`;
  const users = option.calls.filter((call) => call.startsWith(`${owner} `) && !call.includes('--'));
  const all = new Set(
    optionsOf(owner).flatMap(({ calls }) => calls.filter((call) => call.startsWith(`${owner} `))),
  );
  const some = users.length > 0 && users.length < all.size && !option.calls.some((call) => call === owner);
  const whom = some ? `${users.map((call) => call.slice(owner.length + 1)).join(', ')}: ` : '';
  return entry(`${letter} ${written(option)}`, whom + option.help);
}

function verbs(): string[] {
  return Object.entries(PAGES)
    .filter(([name]) => name !== 'server')
    .map(([, { usage, summary }]) => entry((usage[0] ?? '').replace(/^\S+ /, ''), summary));
}

function entry(label: string, help: string): string {
  const text = wrapped(help, INDENT);
  return label.length < INDENT - 3 ? `  ${label}`.padEnd(INDENT) + text.slice(INDENT) : `  ${label}\n${text}`;
}

function section(heading: string, entries: readonly string[]): string {
  return entries.length === 0 ? '' : `${heading}:\n${entries.join('')}`;
}

function wrapped(text: string, indent: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = '';
    }
    line += `${line === '' ? '' : ' '}${word}`;
  }
  return [...lines, line].map((each) => `${' '.repeat(indent)}${each}\n`).join('');
}
