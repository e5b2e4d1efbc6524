/** Manual pages in the macros of man(7), made from the table of options and the pages of --help when the program is built. */
import { type Owner, written } from './given.ts';
import type { Option, Verb } from './options/option.ts';
import { PAGES, verbs } from './pages.ts';
import { helpOf, optionsOf } from './table.ts';

const PROGRAM = 'virt-ts-unshare';
const SERVER = 'autopkgtest-virt-ts-unshare';

/** A verb with more options has a page of its own. */
const MOST_OPTIONS = 5;

/** Characters of a line of the source. */
const LINE = 78;

interface Edition {
  readonly version: string;
  /** As 2026-11-29. */
  readonly date: string;
}

const ENVIRONMENT = [
  [
    'XDG_CACHE_HOME',
    'directory of the cache (default: ~/.cache); where HOME is not the home of the account, that of the account is used',
  ],
  ['XDG_RUNTIME_DIR', 'where open testbeds and laboratories are registered (default: below /tmp)'],
  ['XDG_STATE_HOME', 'where the interactive session keeps its history (default: ~/.local/state)'],
  ['AUTOPKGTEST_VIRT_COPY_TIMEOUT', 'seconds for one copy (default: 300)'],
  ['TMPDIR', 'directory for temporary files (default: /tmp)'],
  ['VIRT_TS_UNSHARE_DEBUG', 'with 1 the library reports what is done, as --debug does'],
] as const;

const FILES = [
  ['~/.cache/virt-ts-unshare', 'images, and the root filesystems that were unpacked from them'],
  ['~/.cache/sbuild/RELEASE-ARCH.t*', "sbuild's root filesystems, which are used before one is built"],
  ['/etc/subuid, /etc/subgid', 'the ranges of ids that the users of a testbed have'],
] as const;

const EXIT_STATUS = [
  ['0', 'the session ended by quit'],
  ['2', 'a wrong option, or a file or program of the host that is missing'],
  ['12', 'a request that breaks the protocol, or a testbed that failed'],
  ['16', 'an internal error'],
] as const;

/** The verbs that have pages of their own. */
export function verbsWithPages(): Verb[] {
  return verbs().filter((verb) => optionsOf(verb).length > MOST_OPTIONS);
}

/** File names, such as `virt-ts-unshare-run.1`, and their text. */
export function manualPages(edition: Edition): ReadonlyMap<string, string> {
  const own = verbsWithPages();
  const names = [PROGRAM, SERVER, ...own.map((verb) => `${PROGRAM}-${verb}`)];
  const seeAlso = (name: string) => [
    ...names.filter((each) => each !== name).map((each) => reference(each)),
    ...['autopkgtest', 'mmdebstrap', 'sbuild'].map((each) => reference(each)),
  ];
  return new Map([
    [`${PROGRAM}.1`, mainPage(edition, own, seeAlso(PROGRAM))],
    [`${SERVER}.1`, serverPage(edition, seeAlso(SERVER))],
    ...own.map((verb): [string, string] => {
      const name = `${PROGRAM}-${verb}`;
      return [`${name}.1`, verbPage(edition, verb, seeAlso(name))];
    }),
  ]);
}

function mainPage(edition: Edition, own: readonly Verb[], seeAlso: readonly string[]): string {
  const { usage, text, examples } = PAGES.server;
  const rest = verbs().filter((verb) => !own.includes(verb));
  return page(edition, PROGRAM, 'throw-away Debian systems made of Linux namespaces', [
    section('SYNOPSIS', [...synopsis(usage), ...synopsis([`${PROGRAM} VERB [...]`])]),
    section('DESCRIPTION', [
      paragraph(
        'Opens testbeds: throw-away Debian systems made of Linux namespaces, which need neither root nor a daemon. A testbed is a layer over a root filesystem that was unpacked once.',
      ),
      `${paragraph(`Without a verb: ${lowerFirst(text)}`)}\nIts options are in ${reference(SERVER)}.`,
    ]),
    section(
      'VERBS',
      verbs().map((verb) =>
        tagged(
          bold((PAGES[verb].usage[0] ?? '').replace(/^\S+ /, '')),
          own.includes(verb)
            ? `${roff(PAGES[verb].summary)}; see ${reference(`${PROGRAM}-${verb}`)}`
            : roff(PAGES[verb].summary),
        ),
      ),
    ),
    ...rest.map((verb) =>
      section(
        `OPTIONS OF ${verb}`.toUpperCase(),
        [
          paragraph(PAGES[verb].text),
          ...optionsOf(verb).map((option) => describe(verb, option)),
          ...(PAGES[verb].notes ?? []).map(paragraph),
        ].filter((part) => part !== ''),
      ),
    ),
    ...common(),
    section('EXAMPLES', [
      example([...examples, ...verbs().flatMap((verb) => PAGES[verb].examples.slice(0, 1))]),
    ]),
    seeAlsoSection(seeAlso),
  ]);
}

function serverPage(edition: Edition, seeAlso: readonly string[]): string {
  const { usage, text, notes = [], examples } = PAGES.server;
  return page(edition, SERVER, 'autopkgtest virtualisation server that makes testbeds of Linux namespaces', [
    section('SYNOPSIS', synopsis(usage)),
    section('DESCRIPTION', [paragraph(text), ...notes.map(paragraph)]),
    ...optionSections('server'),
    section(
      'EXIT STATUS',
      EXIT_STATUS.map(([status, meaning]) => tagged(bold(status), roff(meaning))),
    ),
    ...common(),
    section('EXAMPLES', [example(examples)]),
    seeAlsoSection(seeAlso),
  ]);
}

function verbPage(edition: Edition, verb: Verb, seeAlso: readonly string[]): string {
  const { usage, summary, text, commands = [], notes = [], examples } = PAGES[verb];
  return page(edition, `${PROGRAM}-${verb}`, summary, [
    section('SYNOPSIS', synopsis(usage)),
    section('DESCRIPTION', [paragraph(text)]),
    section(
      'COMMANDS',
      commands.map(([words, help]) => tagged(bold(words), roff(help))),
    ),
    ...optionSections(verb),
    section('NOTES', notes.filter((note) => !note.includes('see virt-ts-unshare --help')).map(paragraph)),
    section('EXAMPLES', [example(examples)]),
    seeAlsoSection(seeAlso),
  ]);
}

function common(): string[] {
  return [
    section(
      'ENVIRONMENT',
      ENVIRONMENT.map(([name, meaning]) => tagged(bold(name), roff(meaning))),
    ),
    section(
      'FILES',
      FILES.map(([path, meaning]) => tagged(bold(path), roff(meaning))),
    ),
  ];
}

function optionSections(owner: Owner): string[] {
  const all = optionsOf(owner);
  const groups = [...new Set(all.map(({ group }) => group))];
  return [
    section(
      'OPTIONS',
      groups.flatMap((group) => [
        ...(groups.length === 1 ? [] : [`.SS ${roff(group)}`]),
        ...all.filter((option) => option.group === group).map((option) => describe(owner, option)),
      ]),
    ),
  ];
}

function describe(owner: Owner, option: Option): string {
  const letter = option.short === undefined ? '' : `${bold(`-${option.short}`)}, `;
  const [name = '', ...values] = written(option).split(' ');
  const label = [bold(name), ...values.map((value) => `\\fI${roff(value)}\\fR`)].join(' ');
  return tagged(letter + label, roff(helpOf(owner, option)));
}

function page(
  { version, date }: Edition,
  name: string,
  summary: string,
  sections: readonly string[],
): string {
  const head = `.TH ${name.toUpperCase().replaceAll('-', '\\-')} 1 ${date} "${PROGRAM} ${version}" "User Commands"`;
  return [
    '.\\" Made from src/command-line when the program is built.',
    head,
    '.SH NAME',
    filled(`${roff(name)} \\- ${roff(summary)}`),
    ...sections.filter((part) => part !== ''),
    '',
  ].join('\n');
}

function section(heading: string, parts: readonly string[]): string {
  return parts.length === 0 ? '' : [`.SH ${heading}`, ...withoutFirstBreak(parts)].join('\n');
}

/** A break right behind a heading would be skipped, with a warning. */
function withoutFirstBreak([first = '', ...rest]: readonly string[]): string[] {
  return [first.replace(/^\.PP\n/, ''), ...rest];
}

/** Each call on a line of its own, its first word in bold. */
function synopsis(usage: readonly string[]): string[] {
  return usage.flatMap((line, index) => {
    const [name = '', ...words] = line.split(' ');
    const one = [bold(name), ...words.map(roff)].join(' ');
    return index === 0 && !line.startsWith(`${PROGRAM} VERB`) ? [one] : ['.br', one];
  });
}

function paragraph(text: string): string {
  return `.PP\n${filled(roff(text))}`;
}

function tagged(label: string, text: string): string {
  return `.TP\n${line(label)}\n${filled(text)}`;
}

function example(lines: readonly string[]): string {
  return ['.EX', ...lines.map((each) => line(roff(each))), '.EE'].join('\n');
}

function seeAlsoSection(references: readonly string[]): string {
  return section('SEE ALSO', [references.join(',\n')]);
}

function reference(name: string): string {
  // Without a break of its name.
  return `\\%\\fB${roff(name)}\\fR(1)`;
}

function bold(text: string): string {
  return `\\fB${roff(text)}\\fR`;
}

/** Short lines, which roff fills again. */
function filled(text: string): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > LINE) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.map(line).join('\n');
}

/** A line of text must not start with the character of a macro. */
function line(text: string): string {
  return /^[.']/.test(text) ? `\\&${text}` : text;
}

/** Characters that roff would replace or interpret. */
function roff(text: string): string {
  const special: Readonly<Record<string, string>> = {
    ...{ '\\': '\\e', '-': '\\-', "'": '\\(aq', '"': '\\(dq', '`': '\\(ga', '^': '\\(ha', '~': '\\(ti' },
  };
  return text.replaceAll(/[\\\-'"`^~]/g, (character) => special[character] ?? character);
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
