import {
  type Completed,
  completedOptions,
  type Kind,
  LIST_IMAGES,
  LIST_TESTBEDS,
  operandKind,
  PROGRAMS,
  RELEASES,
  subCommands,
  verbs,
} from './completion.ts';
import type { Owner } from './given.ts';
import { PAGES } from './pages.ts';

export function fishCompletion(): string {
  const [program] = PROGRAMS;
  return `# Completion for fish, made from src/command-line when the program is built.
function __virt_ts_unshare_images
    sh -c ${quoted(LIST_IMAGES)}
end

function __virt_ts_unshare_releases
    printf '%s\\n' ${RELEASES.join(' ')}
    sh -c ${quoted(LIST_IMAGES)} | sed 's/-[a-z0-9]*$//'
end

function __virt_ts_unshare_testbeds
    sh -c ${quoted(LIST_TESTBEDS)}
end

# The verb, then its sub-command: the words that are no options.
function __virt_ts_unshare_call
    set -l words (commandline -opc)
    string join ' ' -- (string match -v -- '-*' $words[2..-1])[1..2]
end

function __virt_ts_unshare_is
    set -l call (__virt_ts_unshare_call)
    string match -q -- "$argv" $call; or string match -q -- "$argv *" $call
end

function __virt_ts_unshare_is_exactly
    set -l call (__virt_ts_unshare_call)
    test "$argv" = "$call"
end

complete -c ${program} -f
${verbs()
  .map((verb) => complete('__virt_ts_unshare_is_exactly ""', `-a ${verb} -d ${quoted(PAGES[verb].summary)}`))
  .join('\n')}
${complete('__virt_ts_unshare_is_exactly ""', "-a help -d 'show the options of a verb'")}
${complete('__virt_ts_unshare_is help', `-a '${verbs().join(' ')}'`)}
${completedOptions('server')
  .map((option) => complete('__virt_ts_unshare_is_exactly ""', optionWords(option)))
  .join('\n')}
${verbs().map(ofVerb).join('\n')}
complete -c ${PROGRAMS[1]} -w ${program}
`;
}

function ofVerb(verb: Owner): string {
  const commands = subCommands(verb);
  const operands = (commands.length > 0 ? commands.map(({ name }) => name) : ['']).flatMap((name) => {
    const words = action(operandKind(verb, name));
    return words === '' ? [] : [complete(`__virt_ts_unshare_is ${`${verb} ${name}`.trim()}`, words)];
  });
  return [
    ...commands.map(({ name, help }) =>
      complete(`__virt_ts_unshare_is_exactly ${verb}`, `-a ${name} -d ${quoted(help)}`),
    ),
    ...operands,
    ...completedOptions(verb).map((option) => complete(`__virt_ts_unshare_is ${verb}`, optionWords(option))),
  ].join('\n');
}

function complete(condition: string, words: string): string {
  return `complete -c ${PROGRAMS[0]} -n '${condition}' ${words}`;
}

function optionWords({ name, short, help, values, optional }: Completed): string {
  const [first] = values;
  const value = first === undefined || optional ? '' : ` -r ${action(first.kind)}`.trimEnd();
  return `${short === undefined ? '' : `-s ${short} `}-l ${name}${value} -d ${quoted(help)}`;
}

function action(kind: Kind): string {
  switch (kind.kind) {
    case 'words':
      return `-f -a '${kind.words.join(' ')}'`;
    case 'files':
      return '-F';
    case 'folders':
      return "-f -a '(__fish_complete_directories)'";
    case 'users':
      return "-f -a '(__fish_complete_users)'";
    case 'anything':
      return '';
    default:
      return `-f -a '(__virt_ts_unshare_${kind.kind})'`;
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
