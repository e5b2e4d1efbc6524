/** The commands of docs/install.md as steps of a shell script, so that the page and its test cannot differ. */
import MarkdownIt from 'markdown-it';

export const WAYS = ['deb', 'npm', 'clone'] as const;
export type Way = (typeof WAYS)[number];

export const RELEASES = { bookworm: 'Debian 12', trixie: 'Debian 13' } as const;
export type Release = keyof typeof RELEASES;

export interface Step {
  readonly title: string;
  /** A part of a shell script. */
  readonly script: string;
}

/** The blocks of code of a page by the heading that they stand below. */
export function blocksOf(page: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  let heading = '';
  const tokens = new MarkdownIt().parse(page, {});
  for (const [index, { type, content }] of tokens.entries()) {
    if (type === 'heading_open') heading = tokens[index + 1]?.content ?? '';
    else if (type === 'code_block' || type === 'fence') {
      found.set(heading, [...(found.get(heading) ?? []), content]);
    }
  }
  return found;
}

/** As a person at a terminal: the shell gets the words, and prints what they print. */
function typed(command: string, words: string): string {
  return `printf '%s\\n' ${quote(words)} exit | script --quiet --return --command ${quote(command)} /dev/null`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The steps of one way on one release. */
export function stepsOf(page: string, way: Way, release: Release): Step[] {
  const blocks = blocksOf(page);
  const take = (heading: string, ...count: readonly number[]): string[] => {
    const there = blocks.get(heading) ?? [];
    if (there.length !== (count[0] ?? 1)) {
      throw new Error(
        `"${heading}" has ${there.length} blocks of code; test/newcomer/steps.ts knows ${count[0] ?? 1}`,
      );
    }
    return [...there];
  };
  const headings = { deb: 'As a Debian package', npm: 'As npm packages', clone: 'In a clone' };
  const [install = '', second = ''] = take(headings[way], 2);
  const [doctor = ''] = take('First steps');
  const [driver = ''] = take('A driver run');
  const [verbs = ''] = take('A command and a shell');
  const [project = '', file = '', runTest = ''] = take('A test in TypeScript', 3);
  const [manual = ''] = take('A manual page and a completion');
  const [run = '', shell = ''] = verbs.trim().split('\n');
  const completion =
    way === 'deb' ? '. /usr/share/bash-completion/completions/virt-ts-unshare' : lastLine(second);
  const node = take(RELEASES[release]).join('');
  return [
    { title: 'Node.js', script: node },
    // Only bash may be able to read a completion; it comes last.
    { title: 'installed', script: install + second.replace(/^\. .*$/m, '') },
    ...(way === 'deb' && release === 'bookworm' ? [REFUSAL] : []),
    { title: 'doctor', script: `${doctor.trim()} | grep -F 'The server will work'` },
    {
      title: 'a driver run',
      script: `${driver.trim()} >driver.log 2>&1 || { cat driver.log; exit 1; }\ngrep ' PASS$' driver.log`,
    },
    { title: 'a command', script: `${run} | grep '^13'` },
    { title: 'a shell', script: `${typed(shell, 'echo sh""ell of $(id -un)')} | grep -F 'shell of root'` },
    {
      title: 'a test in TypeScript',
      script: `${project}cat >first.test.ts <<'END'\n${file}END\n${runTest.trim()} >test.log 2>&1 || { cat test.log; exit 1; }\ngrep -E '^(# |ℹ )pass 1$' test.log\ncd ..`,
    },
    { title: 'a manual page', script: `${manualIn(way, manual)} | grep -F SYNOPSIS` },
    {
      title: 'a completion',
      script: `bash -c ${quote(`export LIBRARY; ${completion}\n${COMPLETE}`)} bash | grep -x shell`,
    },
  ];
}

/** Debian 12's own Node.js is there too, because npm needs it. */
const REFUSAL: Step = {
  title: 'a sentence for the own Node.js of Debian 12',
  script: "PATH=/usr/bin:/bin virt-ts-unshare --version 2>&1 | grep -F 'npm install --global node@22'",
};

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}

function manualIn(way: Way, command: string): string {
  return way === 'clone' ? 'man dist/man/virt-ts-unshare.1' : command.trim();
}

/** What bash calls when Tab is pressed behind `virt-ts-unshare sh`. */
const COMPLETE = `COMP_WORDS=(virt-ts-unshare sh) COMP_CWORD=1
"$(complete -p virt-ts-unshare | sed -E 's/.* -F ([^ ]+) .*/\\1/')"
printf '%s\\n' "\${COMPREPLY[@]}"`;

/**
 * A script that does the steps and prints after how many seconds each of them ended, and how many the processors worked, as user and in
 * the kernel: on a busy machine only these can be compared.
 */
export function scriptOf(steps: readonly Step[], seconds: number): string {
  const parts = steps.map(({ title, script }) => `${script.trim()}\nreached ${quote(title)}\n`);
  return `set -eu
started=$(date +%s)
reached() {
    times >~/times
    worked=$(sed -n '2{s/[.][0-9]*//g; s/ / + /; p}' ~/times)
    printf '%4d s (%s): %s\\n' "$(($(date +%s) - started))" "$worked" "$1"
}
export DEBIAN_FRONTEND=noninteractive LIBRARY=
${parts.join('\n')}
[ "$(($(date +%s) - started))" -lt ${seconds} ] || { echo 'it took more than ${seconds} s'; exit 1; }
`;
}
