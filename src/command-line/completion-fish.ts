import { type Completed, type CompletedVerb, completedCommandLine, type Kind, LISTS } from './completion.ts';

const { programs, server, verbs } = completedCommandLine();
const [program, other] = programs;
const names = verbs.map(({ name }) => name).join(' ');

export function fishCompletion(): string {
  return `# Completion for fish, made from src/command-line when the program is built.
${Object.entries(LISTS)
  .map(([name, list]) => `function __virt_ts_unshare_${name}\n    sh -c ${quoted(list)}\nend\n`)
  .join('\n')}
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
${verbs
  .map(({ name, summary }) => complete('__virt_ts_unshare_is_exactly ""', `-a ${name} -d ${quoted(summary)}`))
  .join('\n')}
${complete('__virt_ts_unshare_is_exactly ""', "-a help -d 'show the options of a verb'")}
${complete('__virt_ts_unshare_is help', `-a '${names}'`)}
${server.map((option) => complete('__virt_ts_unshare_is_exactly ""', optionWords(option))).join('\n')}
${verbs.map(ofVerb).join('\n')}
complete -c ${other} -w ${program}
`;
}

function ofVerb({ name: verb, commands, operands, options }: CompletedVerb): string {
  const calls = commands.map(({ name, operands }) => ({ call: `${verb} ${name}`, operands }));
  return [
    ...commands.map(({ name, help }) =>
      complete(`__virt_ts_unshare_is_exactly ${verb}`, `-a ${name} -d ${quoted(help)}`),
    ),
    ...(calls.length > 0 ? calls : [{ call: verb, operands }]).flatMap(({ call, operands }) => {
      const words = action(operands);
      return words === '' ? [] : [complete(`__virt_ts_unshare_is ${call}`, words)];
    }),
    ...options.map((option) => complete(`__virt_ts_unshare_is ${verb}`, optionWords(option))),
  ].join('\n');
}

function complete(condition: string, words: string): string {
  return `complete -c ${program} -n '${condition}' ${words}`;
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
    case 'places':
      return "-F -a '(__virt_ts_unshare_places)'";
    default:
      return `-f -a '(__virt_ts_unshare_${kind.kind})'`;
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
