/** What a shell can complete, as data: the source of the files for bash, zsh and fish. */
import type { Owner } from './given.ts';
import type { Option, Verb } from './options/option.ts';
import { PAGES, verbs } from './pages.ts';
import { optionsOf } from './table.ts';

export const PROGRAMS = ['virt-ts-unshare', 'autopkgtest-virt-ts-unshare'] as const;

/** What a word may be: one of a list, or what a shell finds when it completes. */
export type Kind =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | {
      readonly kind:
        | 'files'
        | 'folders'
        | 'places'
        | 'releases'
        | 'images'
        | 'testbeds'
        | 'users'
        | 'anything';
    };

export interface Completed {
  readonly name: string;
  readonly short: string | undefined;
  readonly help: string;
  /** One for each value; none for a switch. */
  readonly values: readonly { readonly label: string; readonly kind: Kind }[];
  readonly optional: boolean;
}

/** Releases of Debian that have an archive. */
const RELEASES = ['bullseye', 'bookworm', 'trixie', 'forky', 'sid', 'stable', 'testing', 'unstable'];

/** The images of the cache, by their names, one a line: for each of the shells. */
const LIST_IMAGES = `ls "\${XDG_CACHE_HOME:-$HOME/.cache}/virt-ts-unshare/images" 2>/dev/null | sed -n 's/\\.tar\\(\\.[a-z0-9]*\\)\\{0,1\\}$//p'`;

/** The open testbeds, by their names, one a line. */
const LIST_TESTBEDS = "virt-ts-unshare ps 2>/dev/null | awk 'NR > 1 && NF > 1 { print $2 }'";

/** The releases, and the images that may have their place, one a line. */
const LIST_RELEASES = `printf '%s\\n' ${RELEASES.join(' ')}; ${LIST_IMAGES} | sed 's/-[a-z0-9]*$//'`;

/** The open testbeds as the first part of NAME:PATH. */
const LIST_PLACES = `${LIST_TESTBEDS} | sed 's/$/:/'`;

/** What a shell finds by a command that writes one word a line. */
export const LISTS = {
  releases: LIST_RELEASES,
  images: LIST_IMAGES,
  testbeds: LIST_TESTBEDS,
  places: LIST_PLACES,
} as const;

/** What all three files are made of. */
export function completedCommandLine() {
  return { programs: PROGRAMS, server: completedOptions('server'), verbs: verbs().map(completedVerb) };
}

export interface CompletedVerb {
  readonly name: Verb;
  readonly summary: string;
  readonly options: readonly Completed[];
  readonly commands: readonly { readonly name: string; readonly help: string; readonly operands: Kind }[];
  readonly operands: Kind;
}

function completedVerb(name: Verb): CompletedVerb {
  const commands = subCommands(name).map((command) => ({
    ...command,
    operands: operandKind(name, command.name),
  }));
  return {
    ...{ name, commands, summary: PAGES[name].summary },
    ...{ options: completedOptions(name), operands: operandKind(name) },
  };
}

export function owners(): Owner[] {
  return ['server', ...verbs()];
}

export function completedOptions(owner: Owner): Completed[] {
  return optionsOf(owner).map((option) => ({
    name: option.name,
    short: option.short,
    help: option.help.split(/[;(]/, 1)[0]?.trim() ?? '',
    values: option.values.map((label) => ({ label, kind: kindOf(option, label) })),
    optional: /^\[[^\]]*\]$/.test(option.values[0] ?? ''),
  }));
}

function kindOf({ name }: Option, label: string): Kind {
  const bare = label.replace(/^\[(.*)\]$/, '$1');
  if (/^[a-z-]+(\|[a-z-]+)+$/.test(bare)) return { kind: 'words', words: bare.split('|') };
  if (name === 'release') return { kind: 'releases' };
  if (name === 'user') return { kind: 'users' };
  if (name === 'scratch') return { kind: 'folders' };
  if (/^(FILE|COMMANDS\|FILE|OUTSIDE|PATH)$/.test(label)) return { kind: 'files' };
  if (/^(DIR|PREFIX|INSIDE)$/.test(label)) return { kind: 'folders' };
  return { kind: 'anything' };
}

/** The sub-commands of a verb, such as `list` of rootfs, each once. */
export function subCommands(owner: Owner): { readonly name: string; readonly help: string }[] {
  const seen = new Map<string, string>();
  for (const [words, help] of PAGES[owner].commands ?? []) {
    const name = /^\S+/.exec(words)?.[0] ?? '';
    if (!seen.has(name)) seen.set(name, help.split(/[;(]/, 1)[0]?.trim() ?? '');
  }
  return [...seen].map(([name, help]) => ({ name, help }));
}

const OF_OPEN_ONES: readonly string[] = ['exec', 'close', 'stats', 'logs', 'commit'];

/** What the words behind a verb, or behind its sub-command, are. */
export function operandKind(verb: string, subCommand = ''): Kind {
  const call = `${verb} ${subCommand}`.trim();
  if (OF_OPEN_ONES.includes(verb)) return { kind: 'testbeds' };
  // A file of the host, or NAME:PATH in a testbed.
  if (verb === 'cp') return { kind: 'places' };
  if (call === 'rootfs build') return { kind: 'releases' };
  if (call === 'rootfs update' || call === 'rootfs remove') return { kind: 'images' };
  if (call === 'rootfs import' || ['test', 'lab', 'report', 'compare'].includes(verb)) {
    return { kind: 'files' };
  }
  if (verb === 'help') return { kind: 'words', words: verbs() };
  return { kind: 'anything' };
}
